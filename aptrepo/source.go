package aptrepo

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Source is a repository to read from, as a client sees it.
type Source interface {
	// Open reads a file by its path in the repository. The error of a file
	// that is not there is an fs.ErrNotExist.
	Open(path string) (io.ReadCloser, error)
	// String is the place, for messages.
	String() string
}

// Dir is a repository in a local directory.
type Dir string

// Open implements [Source].
func (d Dir) Open(path string) (io.ReadCloser, error) {
	if !cleanPath(path) {
		return nil, fmt.Errorf("cannot open %q: not a path within the repository", path)
	}
	return os.Open(filepath.Join(string(d), filepath.FromSlash(path)))
}

func (d Dir) String() string { return string(d) }

// HTTP is a repository on a web server.
type HTTP struct {
	URL    string
	Client *http.Client // nil: one with a time-out of a minute a file
}

// Open implements [Source].
func (h HTTP) Open(path string) (io.ReadCloser, error) {
	client := h.Client
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	address := strings.TrimRight(h.URL, "/") + "/" + (&url.URL{Path: path}).EscapedPath()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot fetch %s: %w", address, err)
	}
	request.Header.Set("Cache-Control", "no-cache")
	request.Header.Set("Accept-Encoding", "identity") // the bytes as they are stored: hashes are of those
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("cannot fetch %s: %w", address, err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	response.Body.Close()
	if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone {
		return nil, fmt.Errorf("cannot fetch %s: %w", address, fs.ErrNotExist)
	}
	return nil, fmt.Errorf("cannot fetch %s: the server says %s", address, response.Status)
}

func (h HTTP) String() string { return h.URL }

// OpenSource returns the source that an address or a path names.
func OpenSource(place string) Source {
	switch {
	case strings.HasPrefix(place, "http://"), strings.HasPrefix(place, "https://"):
		return HTTP{URL: place}
	case strings.HasPrefix(place, "file:"):
		return Dir("/" + strings.TrimLeft(strings.TrimPrefix(place, "file:"), "/"))
	}
	return Dir(place)
}

// maxIndex bounds what is read into memory: Debian's own indices have 60 MB.
const maxIndex = 1 << 30

func readAll(src Source, path string) ([]byte, error) {
	r, err := src.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := limited(r, maxIndex)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s of %s: %w", path, src, err)
	}
	return data, nil
}
