package spec

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// Finding is one thing that is wrong with a config, or worth a warning.
type Finding struct {
	Path    string `json:"path"`              // JSON path: "process.rlimits[3].type"
	Message string `json:"message"`           // what is wrong, after the path
	Remedy  string `json:"remedy,omitempty"`  // what to do about it
	Clause  string `json:"clause,omitempty"`  // where the rule comes from: a section of runtime-spec or a man page
	Warning bool   `json:"warning,omitempty"` // true: the container can be made all the same
}

// String is the finding on one line.
func (f Finding) String() string {
	s := f.Path + ": " + f.Message
	if f.Clause != "" {
		s += " (" + f.Clause + ")"
	}
	if f.Remedy != "" {
		s += "; " + f.Remedy
	}
	return s
}

// Refusal joins the findings that are no warnings into one error, one per line; nil if there are none.
func Refusal(found []Finding) error {
	var all []error
	for _, f := range found {
		if !f.Warning {
			all = append(all, errors.New(f.String()))
		}
	}
	return errors.Join(all...)
}

// Open does all there is to do: it loads BUNDLE/config.json, validates it for this host and resolves it. The findings hold
// warnings, and where err is not nil the reasons too.
func Open(bundle string, h host.Host) (Spec, []Finding, error) {
	bundle, err := filepath.Abs(bundle)
	if err != nil {
		return Spec{}, nil, fmt.Errorf("cannot find the bundle: %w", err)
	}
	raw, text, err := load(bundle)
	if err != nil {
		return Spec{}, nil, err
	}
	found := Validate(raw, h)
	if err := Refusal(found); err != nil {
		return Spec{}, found, fmt.Errorf("cannot use %s: %w", filepath.Join(bundle, "config.json"), err)
	}
	s, err := Resolve(raw, bundle)
	if err != nil {
		return Spec{}, found, fmt.Errorf("cannot use %s: %w", filepath.Join(bundle, "config.json"), err)
	}
	s.Config = text
	return s, found, nil
}

// maxFindings keeps a hostile config from becoming a message of its own size.
const maxFindings = 200

// checker walks a raw config. It reads only the config and the host value: whether a path exists, a namespace file is what it
// says or a device is there is found out when it is used.
type checker struct {
	raw   *specs.Spec
	linux *specs.Linux // never nil
	h     host.Host
	ns    [NamespaceKinds]Namespace
	found []Finding
	more  int
}

// Validate gives every finding about a config, namespaces first, for other rules lean on them: what runtime-spec says MUST hold, what
// kernels and this host refuse anyway, and what cannot be applied here. An empty answer, or one with warnings only, means
// that Resolve will succeed.
func Validate(raw *specs.Spec, h host.Host) []Finding {
	c := &checker{raw: raw, linux: raw.Linux, h: h}
	if c.linux == nil {
		c.linux = &specs.Linux{}
	}
	c.version()
	c.root()
	c.namespaces() // before all that depend on them
	c.mounts()
	if raw.Process != nil {
		c.process(raw.Process)
	}
	c.names()
	c.platforms()
	c.hooks()
	c.annotations()
	c.platformLinux()
	for _, f := range Unsupported(raw, Supported) {
		c.add(f)
	}
	return c.result()
}

// ValidateProcess gives the findings about a process alone, as exec needs it; container is the config of the container it
// joins, nil if that is not known.
func ValidateProcess(p *specs.Process, container *specs.Spec, h host.Host) []Finding {
	c := &checker{raw: container, linux: &specs.Linux{}, h: h}
	if container != nil && container.Linux != nil {
		c.linux = container.Linux
	}
	for _, n := range c.linux.Namespaces {
		if k, ok := KindOf(string(n.Type)); ok {
			c.ns[k] = Namespace{New: n.Path == "", Path: n.Path}
		}
	}
	c.process(p)
	return c.result()
}

func (c *checker) result() []Finding {
	if c.more > 0 {
		c.found = append(c.found, Finding{Path: "config.json", Message: fmt.Sprintf("%d more findings are left out", c.more)})
	}
	return c.found
}

func (c *checker) add(f Finding) {
	if len(c.found) >= maxFindings {
		c.more++
		return
	}
	c.found = append(c.found, f)
}

func (c *checker) refuse(clause, path, remedy, format string, args ...any) {
	c.add(Finding{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy, Clause: clause})
}

func (c *checker) warn(clause, path, remedy, format string, args ...any) {
	c.add(Finding{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy, Clause: clause, Warning: true})
}

// q quotes a value of the config for a message: short, on one line and without escape sequences.
func q[S ~string](s S) string { return strconv.QuoteToASCII(clip(string(s))) }

func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// under is the path of a member whose key is data: linux.sysctl["net.core.somaxconn"].
func under(path, key string) string { return path + "[" + q(key) + "]" }

// The supported range of versions: all of major version 1 up to the one this package was written for (config.md
// "Specification version": compatible within a major version, with equal or lower minor ones).
const (
	VersionMin = "1.0.0"
	VersionMax = "1.3.0"
)

func (c *checker) version() {
	const clause = "config.md, Specification version"
	major, minor, ok := semver(c.raw.Version)
	switch {
	case !ok:
		c.refuse(clause, "ociVersion", `write it like "`+VersionMax+`"`, "%s is not of the form MAJOR.MINOR.PATCH (SemVer 2.0.0)", q(c.raw.Version))
	case major != 1 || minor > 3:
		c.refuse(clause, "ociVersion", "use a config of version "+VersionMin+" to "+VersionMax, "%s is not supported", q(c.raw.Version))
	}
}

// semver reads a SemVer 2.0.0 version strictly: three numbers without leading zeros, then optional pre-release and build parts.
func semver(v string) (major, minor int, ok bool) {
	if len(v) > 256 {
		return 0, 0, false
	}
	core, build, hasBuild := strings.Cut(v, "+")
	core, pre, hasPre := strings.Cut(core, "-")
	numbers := strings.Split(core, ".")
	if len(numbers) != 3 || hasBuild && !identifiers(build, false) || hasPre && !identifiers(pre, true) {
		return 0, 0, false
	}
	for _, n := range numbers {
		if !digits(n) || len(n) > 9 || len(n) > 1 && n[0] == '0' {
			return 0, 0, false
		}
	}
	major, _ = strconv.Atoi(numbers[0])
	minor, _ = strconv.Atoi(numbers[1])
	return major, minor, true
}

func identifiers(s string, pre bool) bool {
	for id := range strings.SplitSeq(s, ".") {
		if id == "" || strings.Trim(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-") != "" {
			return false
		}
		if pre && digits(id) && len(id) > 1 && id[0] == '0' {
			return false
		}
	}
	return true
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func (c *checker) root() {
	switch {
	case c.raw.Root == nil:
		c.refuse("config.md, Root", "root", `add {"path": "rootfs"}`, "is missing")
	case c.raw.Root.Path == "":
		c.refuse("config.md, Root", "root.path", `the conventional value is "rootfs"`, "is empty")
	case c.raw.Root.Readonly:
		c.needs(MountNS, "root.readonly", "config.md, Root")
	}
}

// needs refuses a property that would change the runtime's own namespace of kind k if the container has none of its own.
func (c *checker) needs(k Kind, path, clause string) bool {
	if c.ns[k].Own() {
		return true
	}
	// The root comes before the namespaces in the specification and here.
	for _, n := range c.linux.Namespaces {
		if string(n.Type) == k.String() {
			return true
		}
	}
	c.refuse(clause, path, fmt.Sprintf(`add {"type": %q} to linux.namespaces`, k), "needs a %s namespace of the container's own", k)
	return false
}

func (c *checker) names() {
	c.name("hostname", c.raw.Hostname)
	c.name("domainname", c.raw.Domainname)
}

func (c *checker) name(path, value string) {
	const longest = 64 // __NEW_UTS_LEN, sethostname(2)
	if value == "" {
		return
	}
	c.needs(UTSNS, path, "config.md, "+strings.ToUpper(path[:1])+path[1:])
	if len(value) > longest {
		c.refuse("sethostname(2)", path, "", "is %d bytes long, and the kernel takes %d at most", len(value), longest)
	}
}

func (c *checker) platforms() {
	for _, p := range []struct {
		name string
		set  bool
	}{
		{"solaris", c.raw.Solaris != nil}, {"windows", c.raw.Windows != nil}, {"vm", c.raw.VM != nil}, {"zos", c.raw.ZOS != nil},
		{"freebsd", c.raw.FreeBSD != nil},
	} {
		if p.set {
			c.warn("config.md, Platform-specific configuration", p.name, "", "is for another platform and has no effect")
		}
	}
}

func (c *checker) hooks() {
	if c.raw.Hooks == nil {
		return
	}
	for _, list := range hookLists {
		for i, h := range list.raw(c.raw.Hooks) {
			c.hook(fmt.Sprintf("hooks.%s[%d]", list.name, i), &h)
		}
	}
}

func (c *checker) hook(path string, h *specs.Hook) {
	const clause = "config.md, POSIX-platform Hooks"
	if !filepath.IsAbs(h.Path) {
		c.refuse(clause, path+".path", "give the whole path of the program", "%s is not absolute", q(h.Path))
	}
	if t := h.Timeout; t != nil && *t <= 0 {
		c.refuse(clause, path+".timeout", "leave it out for no limit", "is %d, must be greater than zero", *t)
	} else if t != nil && *t > 1<<31 {
		c.refuse(clause, path+".timeout", "leave it out for no limit", "is %d seconds, which is out of range", *t)
	}
}

func (c *checker) annotations() {
	if _, ok := c.raw.Annotations[""]; ok {
		c.refuse("config.md, Annotations", "annotations", "name or remove it", "has an entry with an empty key")
	}
}

// oneOf refuses a word that is not in the list.
func oneOf[S ~string](c *checker, clause, path string, value S, known []string) bool {
	if slices.Contains(known, string(value)) {
		return true
	}
	c.refuse(clause, path, "use one of "+strings.Join(known, ", "), "%s is not known", q(value))
	return false
}
