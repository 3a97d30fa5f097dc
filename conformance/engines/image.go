package engines

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

// imageName is the image that every engine is given. The host part keeps Podman from asking where to look for it.
const imageName = "localhost/busybox:made-here"

// applets are the names that busybox has in the image.
var applets = []string{"sh", "echo", "sleep", "cat", "id", "touch", "grep", "true", "ls"}

// rootfs is the content of the image as a tar file.
func rootfs() ([]byte, error) {
	busybox, err := program("busybox", "busybox-static")
	if err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, dir := range []string{"bin/", "dev/", "etc/", "proc/", "sys/", "tmp/"} {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755})
	}
	for _, name := range applets {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"})
	}
	put(w, "etc/passwd", 0o644, []byte("root:x:0:0:root:/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"))
	put(w, "etc/group", 0o644, []byte("root:x:0:\napp:x:1000:\n"))
	put(w, "bin/busybox", 0o755, binary)
	return out.Bytes(), w.Close()
}

// put adds a file. A tar.Writer keeps its first error until Close, and the memory below it has none.
func put(w *tar.Writer, name string, mode int64, data []byte) {
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))})
	w.Write(data)
}

// ociArchive wraps a root file system in an OCI image layout, as a tar file: image-spec, image-layout.md.
func ociArchive(layer []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	blob := func(kind string, data []byte) map[string]any {
		sum := fmt.Sprintf("%x", sha256.Sum256(data))
		put(w, "blobs/sha256/"+sum, 0o644, data)
		return map[string]any{"mediaType": kind, "digest": "sha256:" + sum, "size": len(data)}
	}
	content := blob("application/vnd.oci.image.layer.v1.tar", layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Env": []string{"PATH=/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{content["digest"]}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": blob("application/vnd.oci.image.config.v1+json", config), "layers": []any{content},
	})
	if err != nil {
		return nil, err
	}
	image := blob("application/vnd.oci.image.manifest.v1+json", manifest)
	image["annotations"] = map[string]string{"io.containerd.image.name": imageName}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{image}})
	if err != nil {
		return nil, err
	}
	put(w, "index.json", 0o644, index)
	put(w, "oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return out.Bytes(), w.Close()
}

// archive writes the image's root file system to a file of the engine's.
func (e *Engine) archive(wrap func([]byte) ([]byte, error)) (string, error) {
	data, err := rootfs()
	if err == nil && wrap != nil {
		data, err = wrap(data)
	}
	if err != nil {
		return "", err
	}
	return e.file("image.tar", data)
}
