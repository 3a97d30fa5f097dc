package wire

// ConfigPath is where the initial file system holds the Config.
const ConfigPath = "/.vm/config.json"

// Config tells the first program of a guest how to furnish the machine.
type Config struct {
	Hostname string
	Cgroup   string   // v1, hybrid or v2
	Modules  []string // kernel modules in loading order, as paths in the initial file system
	Init     string   // program that becomes process 1 once the machine is furnished; "" when the agent stays it
}
