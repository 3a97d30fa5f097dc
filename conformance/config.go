package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/conformance/probe"
)

const invalidValues = "Runtimes MUST generate an error when invalid or unsupported values are encountered"

// config.md: the specification version, extensibility and valid values.
var configChecks = []Check{
	{Name: "config/oci-version/missing", Run: func(t *T) { t.versionRefused("") }, Strict: true,
		Clause: must("config.md", "configSpecificationVersion", "ociVersion (string, REQUIRED) MUST be in SemVer v2.0.0 format")},
	{Name: "config/oci-version/no-semver", Run: func(t *T) { t.versionRefused("one") }, Strict: true,
		Clause: must("config.md", "configSpecificationVersion", "ociVersion (string, REQUIRED) MUST be in SemVer v2.0.0 format")},
	{Name: "config/oci-version/two-parts", Run: func(t *T) { t.versionRefused("1.0") }, Strict: true,
		Clause: must("config.md", "configSpecificationVersion", "ociVersion (string, REQUIRED) MUST be in SemVer v2.0.0 format")},
	{Name: "config/oci-version/leading-v", Run: func(t *T) { t.versionRefused("v1.0.0") }, Strict: true,
		Clause: must("config.md", "configSpecificationVersion", "ociVersion (string, REQUIRED) MUST be in SemVer v2.0.0 format")},
	{Name: "config/oci-version/leading-zero", Run: func(t *T) { t.versionRefused("1.02.0") }, Strict: true,
		Clause: must("config.md", "configSpecificationVersion", "ociVersion (string, REQUIRED) MUST be in SemVer v2.0.0 format")},
	{Name: "config/oci-version/other-major", Run: func(t *T) { t.versionRefused("2.0.0") }, Strict: true,
		Clause: must("config.md", "configuration", invalidValues)},
	{Name: "config/oci-version/first", Run: func(t *T) { t.versionAccepted("1.0.0") },
		Clause: must("config.md", "configSpecificationVersion", "The Open Container Initiative Runtime Specification follows semantic versioning and retains forward and backward compatibility within major versions")},
	{Name: "config/oci-version/second", Run: func(t *T) { t.versionAccepted("1.0.2") },
		Clause: must("config.md", "configSpecificationVersion", "The Open Container Initiative Runtime Specification follows semantic versioning and retains forward and backward compatibility within major versions")},
	{Name: "config/oci-version/third", Run: func(t *T) { t.versionAccepted("1.1.0") }, Since: "1.1.0",
		Clause: must("config.md", "configSpecificationVersion", "The Open Container Initiative Runtime Specification follows semantic versioning and retains forward and backward compatibility within major versions")},
	{Name: "config/oci-version/current", Run: func(t *T) { t.versionAccepted(SpecVersion) }, Since: SpecVersion,
		Clause: must("config.md", "configSpecificationVersion", "The Open Container Initiative Runtime Specification follows semantic versioning and retains forward and backward compatibility within major versions")},
	{Name: "config/oci-version/build-metadata", Run: func(t *T) { t.versionAccepted("1.0.2+vendor.1") },
		Clause: must("config.md", "configSpecificationVersion", "ociVersion (string, REQUIRED) MUST be in SemVer v2.0.0 format")},
	{Name: "config/unknown-properties-ignored", Run: configUnknown,
		Clause: must("config.md", "configExtensibility", "Runtimes MAY log unknown properties but MUST otherwise ignore them")},
	{Name: "config/not-json", Run: func(t *T) { t.Refused([]byte("ociVersion: 1.0.2\n"), "a config.json that is not JSON") },
		Clause: must("config.md", "configuration", invalidValues)},
	{Name: "config/truncated", Run: configTruncated,
		Clause: must("config.md", "configuration", invalidValues)},
	{Name: "config/empty", Run: func(t *T) { t.Refused([]byte{}, "an empty config.json") },
		Clause: must("config.md", "configuration", invalidValues)},
	{Name: "config/wrong-type", Run: configWrongType,
		Clause: must("config.md", "configuration", invalidValues)},
	{Name: "config/other-platform-ignored", Run: configWindows, Strict: true,
		Clause: must("config.md", "configPlatformSpecificConfiguration", "This MUST be set if the target platform of this spec is windows")},
}

// config.md, section Root, and rootfsPropagation of config-linux.md.
var rootChecks = []Check{
	{Name: "root/missing", Run: rootMissing,
		Clause: must("config.md", "configRoot", "On all other platforms, this field is REQUIRED")},
	{Name: "root/path-missing", Run: rootPathMissing,
		Clause: must("config.md", "configRoot", "A directory MUST exist at the path declared by the field")},
	{Name: "root/path-is-a-file", Run: rootPathFile,
		Clause: must("config.md", "configRoot", "A directory MUST exist at the path declared by the field")},
	{Name: "root/path-absolute", Run: rootAbsolute,
		Clause: must("config.md", "configRoot", "On POSIX platforms, path is either an absolute path or a relative path to the bundle")},
	{Name: "root/path-other-name", Run: rootOtherName,
		Clause: must("config.md", "configRoot", "On POSIX platforms, path is either an absolute path or a relative path to the bundle")},
	{Name: "root/is-the-root", Run: rootIsRoot,
		Clause: must("config.md", "configRoot", "path (string, REQUIRED) Specifies the path to the root filesystem for the container")},
	{Name: "root/no-way-out", Run: rootNoWayOut,
		Clause: must("config.md", "configRoot", "path (string, REQUIRED) Specifies the path to the root filesystem for the container")},
	{Name: "root/readonly/refuses-writes", Run: func(t *T) { rootWrite(t, true, "EROFS") },
		Clause: must("config.md", "configRoot", "readonly (bool, OPTIONAL) If true then the root filesystem MUST be read-only inside the container, defaults to false")},
	{Name: "root/readonly/default-accepts-writes", Run: func(t *T) { rootWrite(t, false, "ok") },
		Clause: must("config.md", "configRoot", "readonly (bool, OPTIONAL) If true then the root filesystem MUST be read-only inside the container, defaults to false")},
	{Name: "root/readonly/mounts-stay-writable", Run: rootReadonlyMounts,
		Clause: must("config.md", "configRoot", "readonly (bool, OPTIONAL) If true then the root filesystem MUST be read-only inside the container, defaults to false")},
	{Name: "root/readonly/host-stays-writable", Run: rootReadonlyHost,
		Clause: must("config.md", "configRoot", "readonly (bool, OPTIONAL) If true then the root filesystem MUST be read-only inside the container, defaults to false")},
	{Name: "root/propagation/private", Run: func(t *T) { rootPropagation(t, "private", "") },
		Clause: must("config-linux.md", "configLinuxRootfsMountPropagation", "private: the rootfs mount doesn't receive mount propagation events from the host")},
	{Name: "root/propagation/shared", Run: func(t *T) { rootPropagation(t, "shared", "shared:") },
		Clause: must("config-linux.md", "configLinuxRootfsMountPropagation", "shared: the rootfs mount belongs to a new peer group")},
	{Name: "root/propagation/slave-on-own-mount", Run: func(t *T) { rootPropagationSlave(t, true) }, Strict: true,
		Clause: must("config-linux.md", "configLinuxRootfsMountPropagation", "slave: the rootfs mount receives propagation events from the host")},
	{Name: "root/propagation/slave", Run: func(t *T) { rootPropagationSlave(t, false) },
		Clause: must("config-linux.md", "configLinuxRootfsMountPropagation", "slave: the rootfs mount receives propagation events from the host")},
	{Name: "root/propagation/unbindable", Run: func(t *T) { rootPropagation(t, "unbindable", "unbindable") },
		Clause: must("config-linux.md", "configLinuxRootfsMountPropagation", "unbindable: the rootfs mount is a private mount that cannot be bind-mounted")},
	{Name: "root/propagation/unknown", Run: rootPropagationUnknown,
		Clause: must("config-linux.md", "configLinuxRootfsMountPropagation", "Its value is either shared, slave, private or unbindable")},
}

// config.md, section Annotations.
var annotationChecks = []Check{
	{Name: "annotations/unknown-keys-ignored", Run: annotationsUnknown,
		Clause: must("config.md", "configAnnotations", "Runtimes MUST handle unknown annotation keys like any other unknown property")},
	{Name: "annotations/empty-value", Run: annotationsEmpty,
		Clause: must("config.md", "configAnnotations", "Values MAY be an empty string")},
	{Name: "annotations/value-not-a-string", Run: annotationsNumber,
		Clause: must("config.md", "configAnnotations", "Values MUST be strings")},
}

func (t *T) versionRefused(version string) {
	config := t.Config()
	config.Version = version
	t.Refused(config, fmt.Sprintf("the ociVersion %q", version))
}

func (t *T) versionAccepted(version string) {
	config := t.Config(facts())
	config.Version = version
	t.Facts(config)
}

// generic turns a configuration into a map, for values that the types cannot hold.
func (t *T) generic(config *specs.Spec) map[string]any {
	text, err := json.Marshal(config)
	t.Must(err, "encode the configuration")
	var tree map[string]any
	t.Must(json.Unmarshal(text, &tree), "decode the configuration")
	return tree
}

func configUnknown(t *T) {
	tree := t.generic(t.Config(facts()))
	tree["org.example.unknown"] = map[string]any{"a": []int{1, 2}}
	tree["process"].(map[string]any)["unknownProperty"] = true
	tree["linux"].(map[string]any)["unknownProperty"] = "text"
	c := t.Container(tree)
	c.Life()
	c.Facts()
}

func configTruncated(t *T) {
	text, err := json.Marshal(t.Config())
	t.Must(err, "encode the configuration")
	t.Refused(bytes.TrimSuffix(text, []byte("}")), "a config.json without its last brace")
}

func configWrongType(t *T) {
	for _, path := range [][2]string{{"process", "args"}, {"root", "path"}, {"process", "cwd"}} {
		tree := t.generic(t.Config())
		tree[path[0]].(map[string]any)[path[1]] = 7
		t.Refused(tree, fmt.Sprintf("a number for %s.%s", path[0], path[1]))
	}
}

func configWindows(t *T) {
	tree := t.generic(t.Config())
	delete(tree, "linux")
	tree["windows"] = map[string]any{"layerFolders": []string{`C:\layer`}}
	t.Refused(tree, "a configuration whose target platform is windows")
}

func rootMissing(t *T) {
	config := t.Config()
	config.Root = nil
	t.Refused(config, "a configuration without root")
}

func rootPathMissing(t *T) {
	config := t.Config()
	config.Root.Path = "missing"
	t.Refused(config, "a root filesystem that does not exist")
}

func rootPathFile(t *T) {
	config := t.Config()
	config.Root.Path = "config.json"
	t.Refused(config, "a root filesystem that is a file")
}

func rootAbsolute(t *T) {
	elsewhere := t.Container(t.Config())
	config := t.Config(creating("/made"))
	config.Root.Path = elsewhere.Rootfs
	t.Life(config)
	if _, err := os.Stat(elsewhere.Host("/made")); err != nil {
		t.Errorf("the program did not run in the root filesystem of the absolute path: %v", err)
	}
}

func rootOtherName(t *T) {
	config := t.Config(facts())
	config.Root.Path = "some/other name"
	c := t.Container(config)
	t.Must(os.Mkdir(filepath.Join(c.Bundle, "some"), 0o755), "make a directory")
	t.Must(os.Rename(c.Rootfs, filepath.Join(c.Bundle, "some", "other name")), "rename the root filesystem")
	c.Life()
	c.Facts()
}

func rootIsRoot(t *T) {
	c := t.Container(t.Config(reading("/etc/mark"), doing("list", "/")))
	t.Must(os.WriteFile(c.Host("/etc/mark"), []byte("of this root"), 0o644), "mark the root filesystem")
	Equal(t, "the marked file", t.Find(c.Life(), "read", "/etc/mark").Text, "of this root")
}

func rootNoWayOut(t *T) {
	config := t.Config(statOf("/../../../../../.."+t.Dir), statOf("/proc/self/cwd/../../../.."+t.Dir), facts())
	c := t.Container(config)
	for _, result := range c.Life() {
		if result.Do == "stat" && result.OK() {
			t.Errorf("the program sees the host's directory at %s", result.Path)
		}
	}
	for _, mount := range c.Facts().Mounts {
		if mount.Point != "/" && contains(mount.Point, t.Dir) {
			t.Errorf("a mount of the host is left in the container: %s", mount.Point)
		}
	}
}

func rootWrite(t *T, readonly bool, want string) {
	config := t.Config(creating("/etc/new"))
	config.Root.Readonly = readonly
	Equal(t, "writing to the root filesystem", t.Find(t.Life(config), "create", "").Outcome(), want)
}

func rootReadonlyMounts(t *T) {
	config := withMount(t.Config(creating("/tmp/new"), creating("/dev/shm/new")), "tmpfs", "tmpfs", "/tmp")
	config.Root.Readonly = true
	results := t.Life(config)
	for _, path := range []string{"/tmp/new", "/dev/shm/new"} {
		Equal(t, "writing to "+path, t.Find(results, "create", path).Outcome(), "ok")
	}
}

func rootReadonlyHost(t *T) {
	config := t.Config(facts())
	config.Root.Readonly = true
	c := t.Container(config)
	c.Life()
	if err := os.WriteFile(c.Host("/later"), nil, 0o644); err != nil {
		t.Errorf("the root filesystem became read-only on the host: %v", err)
	}
}

func rootPropagation(t *T, value, want string) {
	config := t.Config(facts())
	config.Linux.RootfsPropagation = value
	mount := t.mountedAt(config, "/")
	fields := fmt.Sprint(mount.Optional)
	if want == "" && fields != "[]" || !contains(fields, want) {
		t.Errorf("the propagation of the root mount is %s, want %q", fields, want)
	}
}

// rootPropagationSlave mounts something on the host side below the root
// filesystem while the container runs; the event must arrive.
func rootPropagationSlave(t *T, ownMount bool) {
	config := t.Config(waiting(), facts())
	config.Linux.RootfsPropagation = "slave"
	c := t.Container(config)
	const bind, shared = 1 << 12, 1 << 20 // MS_BIND, MS_SHARED
	point := "/"
	var ops []probe.Op
	if ownMount {
		point = c.Bundle
		ops = append(ops, probe.Op{Do: "mount", Path: point, Args: []string{point, ""}, Nums: []uint64{bind}})
	} else if onSeparateMount(c.Bundle) {
		t.Skipf("the working directory is not on the root mount")
	}
	holder := t.HoldAfter(append(ops, probe.Op{Do: "mount", Path: point, Args: []string{"none", ""}, Nums: []uint64{shared}}), "mount")
	c.Enter = []string{holder.Path("mount")}
	c.MustCreate()
	c.MustStart()
	c.AwaitFile("/ready")
	for _, result := range holder.Within([]string{"mount"}, probe.Op{Do: "mount", Path: c.Host("/tmp"), Args: []string{"tmpfs", "tmpfs"}}) {
		Equal(t, "mounting on the host side", result.Outcome(), "ok")
	}
	t.Must(c.Kill("TERM"), "let the program go on")
	c.Wait()
	mount, found := c.Facts().MountAt("/tmp")
	if !found || mount.Type != "tmpfs" {
		t.Errorf("a mount made on the host did not appear in the container")
	}
}

// onSeparateMount tells whether a path lies on another mount than /.
func onSeparateMount(path string) bool {
	mounts, _ := probe.ReadMounts("/proc/self/mountinfo")
	for _, mount := range mounts {
		if mount.Point != "/" && (path+"/") != mount.Point && bytes.HasPrefix([]byte(path+"/"), []byte(mount.Point+"/")) {
			return true
		}
	}
	return false
}

func rootPropagationUnknown(t *T) {
	config := t.Config()
	config.Linux.RootfsPropagation = "sideways"
	t.Refused(config, "an unknown rootfsPropagation")
}

func annotationsUnknown(t *T) {
	config := t.Config(facts())
	config.Annotations = map[string]string{"org.example.unknown": "value", "org.opencontainers.image.os": "linux"}
	t.Facts(config)
}

func annotationsEmpty(t *T) {
	config := t.Config(facts())
	config.Annotations = map[string]string{"org.example.empty": ""}
	c := t.Container(config)
	c.MustCreate()
	state, err := c.State()
	t.Must(err, "query the state")
	value, found := state.Annotations["org.example.empty"]
	if !found || value != "" {
		t.Errorf("the empty annotation is %q (present: %v) in the state", value, found)
	}
}

func annotationsNumber(t *T) {
	tree := t.generic(t.Config())
	tree["annotations"] = map[string]any{"org.example.number": 5}
	t.Refused(tree, "an annotation that is a number")
}
