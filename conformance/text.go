package conformance

import (
	"os"
	"strings"
	"syscall"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func fieldsOf(text string) []string { return strings.Fields(text) }

func ownerOf(info os.FileInfo) (uid, gid uint32) {
	stat := info.Sys().(*syscall.Stat_t)
	return stat.Uid, stat.Gid
}
