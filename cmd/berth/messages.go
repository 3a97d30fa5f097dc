package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// messages is where errors, warnings and what --debug adds go. Without --log that is standard error, as lines for a person.
// With --log FILE each message is one record of the file, of the shape that shims read, and an error is on standard
// error too.
type messages struct {
	stderr io.Writer
	log    sink // nil without --log
	json   bool
	debug  bool
}

// sink takes one message.
type sink interface {
	record(level, message string, json bool) error
}

// Open makes the target of --log ready, so that one that cannot be written to stops the verb before it does anything.
func (m *messages) Open(target, format string, debug bool) error {
	m.json, m.debug = format == "json", debug
	if target == "" {
		return nil
	}
	sink, err := openSink(target)
	if err != nil {
		return fmt.Errorf("cannot write messages to %q: %w", target, err)
	}
	m.log = sink
	return nil
}

// openSink opens what --log names: FILE, file:FILE, journald:NAME or syslog:NAME.
func openSink(target string) (sink, error) {
	if name, ok := cutTarget(target, "journald"); ok {
		return openSocket("/run/systemd/journal/socket", name, journalRecord)
	}
	if name, ok := cutTarget(target, "syslog"); ok {
		return openSocket("/dev/log", name, syslogRecord)
	}
	f, err := os.OpenFile(strings.TrimPrefix(target, "file:"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, errors.Unwrap(err) // the path is in the message already
	}
	return fileSink{f}, nil
}

// cutTarget cuts "KIND:" or a bare "KIND:NAME" off.
func cutTarget(target, kind string) (name string, ok bool) {
	name, ok = strings.CutPrefix(target, kind+":")
	if ok && name == "" {
		name = "berth"
	}
	return name, ok
}

// Error reports why the verb failed.
func (m *messages) Error(err error) {
	m.toLog("error", err.Error())
	if m.log == nil && m.json {
		fmt.Fprint(m.stderr, jsonRecord("error", err.Error()))
		return
	}
	fmt.Fprintf(m.stderr, "berth: error: %s\n", printableLines(err.Error()))
}

// Warn reports what the verb could do without.
func (m *messages) Warn(format string, args ...any) { m.note("warning", fmt.Sprintf(format, args...)) }

// Debug reports what --debug asks for.
func (m *messages) Debug(format string, args ...any) {
	if m.debug {
		m.note("debug", fmt.Sprintf(format, args...))
	}
}

// note reports to the log, or to standard error where there is none.
func (m *messages) note(level, message string) {
	switch {
	case m.log != nil:
		m.toLog(level, message)
	case m.json:
		fmt.Fprint(m.stderr, jsonRecord(level, message))
	default:
		fmt.Fprintf(m.stderr, "berth: %s: %s\n", level, printableLines(message))
	}
}

// toLog writes to the log. A log that stopped taking messages is told to the person and stops nothing else.
func (m *messages) toLog(level, message string) {
	if m.log == nil {
		return
	}
	if err := m.log.record(level, message, m.json); err != nil {
		fmt.Fprintf(m.stderr, "berth: warning: cannot write to the log: %s\n", printableLines(err.Error()))
		m.log = nil
	}
}

// fileSink appends records to a file, each in one write so that those of several commands do not mix.
type fileSink struct{ file *os.File }

func (s fileSink) record(level, message string, json bool) error {
	record := textRecord(level, message)
	if json {
		record = jsonRecord(level, message)
	}
	_, err := io.WriteString(s.file, record)
	return err
}

// jsonRecord is one object on one line. Shims decode it and look at level and msg.
func jsonRecord(level, message string) string {
	data, err := json.Marshal(struct {
		Level   string `json:"level"`
		Message string `json:"msg"`
		Time    string `json:"time"`
	}{level, message, now()})
	if err != nil { // two strings and a time always encode
		return ""
	}
	return string(data) + "\n"
}

// textRecord is the same as words, quoted so that no message can forge another record.
func textRecord(level, message string) string {
	return fmt.Sprintf("time=%q level=%s msg=%s\n", now(), level, strconv.QuoteToGraphic(message))
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// socketSink sends each record as one datagram to a log daemon.
type socketSink struct {
	fd     int
	name   string
	format func(name, level, message string) string
}

func openSocket(path, name string, format func(name, level, message string) string) (sink, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("no daemon listens at %s: %w", path, err)
	}
	return socketSink{fd, name, format}, nil
}

func (s socketSink) record(level, message string, _ bool) error {
	_, err := syscall.Write(s.fd, []byte(s.format(s.name, level, message)))
	return err
}

// severity is the number that syslog(3) gives a level.
func severity(level string) int {
	switch level {
	case "error":
		return 3
	case "warning":
		return 4
	}
	return 7
}

// journalRecord follows systemd's native journal protocol: a line per field, so none may hold a line break.
func journalRecord(name, level, message string) string {
	return fmt.Sprintf("PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=%s\n", severity(level), printable(name), printable(message))
}

// syslogRecord follows RFC 3164 as syslog(3) speaks it to /dev/log; facility 3 is daemons.
func syslogRecord(name, level, message string) string {
	return fmt.Sprintf("<%d>%s %s[%d]: %s", 3<<3|severity(level), time.Now().Format(time.Stamp), printable(name), os.Getpid(), printable(message))
}
