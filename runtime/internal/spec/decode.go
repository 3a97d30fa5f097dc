package spec

import (
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// One function per object of config.json, in the order of the specification. A member that is not named here is unknown or
// belongs to another platform, and is skipped.

func readSpec(r *reader, v *specs.Spec) {
	r.object(func(key string) {
		switch key {
		case "ociVersion":
			r.string(&v.Version)
		case "root":
			opt(r, &v.Root, readRoot)
		case "mounts":
			objects(r, &v.Mounts, readMount)
		case "process":
			opt(r, &v.Process, readProcess)
		case "hostname":
			r.string(&v.Hostname)
		case "domainname":
			r.string(&v.Domainname)
		case "hooks":
			opt(r, &v.Hooks, readHooks)
		case "annotations":
			table(r, &v.Annotations, text[string])
		case "linux":
			opt(r, &v.Linux, readLinux)
		default:
			r.other()
		}
	}, "ociVersion", "root")
}

func readRoot(r *reader, v *specs.Root) {
	r.object(func(key string) {
		switch key {
		case "path":
			r.string(&v.Path)
		case "readonly":
			r.boolean(&v.Readonly)
		default:
			r.other()
		}
	}, "path")
}

func readMount(r *reader, v *specs.Mount) {
	r.object(func(key string) {
		switch key {
		case "destination":
			r.string(&v.Destination)
		case "type":
			r.string(&v.Type)
		case "source":
			r.string(&v.Source)
		case "options":
			texts(r, &v.Options)
		case "uidMappings":
			objects(r, &v.UIDMappings, readMapping)
		case "gidMappings":
			objects(r, &v.GIDMappings, readMapping)
		default:
			r.other()
		}
	}, "destination")
}

func readProcess(r *reader, v *specs.Process) {
	r.object(func(key string) {
		switch key {
		case "terminal":
			r.boolean(&v.Terminal)
		case "consoleSize":
			opt(r, &v.ConsoleSize, readBox)
		case "user":
			readUser(r, &v.User)
		case "args":
			texts(r, &v.Args)
		case "env":
			texts(r, &v.Env)
		case "cwd":
			r.string(&v.Cwd)
		case "capabilities":
			opt(r, &v.Capabilities, readCapabilities)
		case "rlimits":
			objects(r, &v.Rlimits, readRlimit)
		case "noNewPrivileges":
			r.boolean(&v.NoNewPrivileges)
		case "apparmorProfile":
			r.string(&v.ApparmorProfile)
		case "oomScoreAdj":
			opt(r, &v.OOMScoreAdj, integer[int])
		case "scheduler":
			opt(r, &v.Scheduler, readScheduler)
		case "selinuxLabel":
			r.string(&v.SelinuxLabel)
		case "ioPriority":
			opt(r, &v.IOPriority, readIOPriority)
		case "execCPUAffinity":
			opt(r, &v.ExecCPUAffinity, readAffinity)
		default:
			r.other()
		}
	}, "cwd")
}

func readBox(r *reader, v *specs.Box) {
	r.object(func(key string) {
		switch key {
		case "height":
			natural(r, &v.Height)
		case "width":
			natural(r, &v.Width)
		default:
			r.other()
		}
	}, "height", "width")
}

func readUser(r *reader, v *specs.User) {
	r.object(func(key string) {
		switch key {
		case "uid":
			natural(r, &v.UID)
		case "gid":
			natural(r, &v.GID)
		case "umask":
			opt(r, &v.Umask, natural[uint32])
		case "additionalGids":
			list(r, &v.AdditionalGids, natural[uint32], "an array of numbers")
		default:
			r.other()
		}
	})
}

func readCapabilities(r *reader, v *specs.LinuxCapabilities) {
	r.object(func(key string) {
		switch key {
		case "bounding":
			texts(r, &v.Bounding)
		case "effective":
			texts(r, &v.Effective)
		case "inheritable":
			texts(r, &v.Inheritable)
		case "permitted":
			texts(r, &v.Permitted)
		case "ambient":
			texts(r, &v.Ambient)
		default:
			r.other()
		}
	})
}

func readRlimit(r *reader, v *specs.POSIXRlimit) {
	r.object(func(key string) {
		switch key {
		case "type":
			r.string(&v.Type)
		case "hard":
			natural(r, &v.Hard)
		case "soft":
			natural(r, &v.Soft)
		default:
			r.other()
		}
	}, "type", "hard", "soft")
}

func readScheduler(r *reader, v *specs.Scheduler) {
	r.object(func(key string) {
		switch key {
		case "policy":
			text(r, &v.Policy)
		case "nice":
			integer(r, &v.Nice)
		case "priority":
			integer(r, &v.Priority)
		case "flags":
			texts(r, &v.Flags)
		case "runtime":
			natural(r, &v.Runtime)
		case "deadline":
			natural(r, &v.Deadline)
		case "period":
			natural(r, &v.Period)
		default:
			r.other()
		}
	}, "policy")
}

func readIOPriority(r *reader, v *specs.LinuxIOPriority) {
	r.object(func(key string) {
		switch key {
		case "class":
			text(r, &v.Class)
		case "priority":
			integer(r, &v.Priority)
		default:
			r.other()
		}
	}, "class", "priority")
}

func readAffinity(r *reader, v *specs.CPUAffinity) {
	r.object(func(key string) {
		switch key {
		case "initial":
			r.string(&v.Initial)
		case "final":
			r.string(&v.Final)
		default:
			r.other()
		}
	})
}

func readHooks(r *reader, v *specs.Hooks) {
	r.object(func(key string) {
		switch key {
		case "prestart":
			//lint:ignore SA1019 deprecated for those who write configs, a MUST for those who run them
			objects(r, &v.Prestart, readHook)
		case "createRuntime":
			objects(r, &v.CreateRuntime, readHook)
		case "createContainer":
			objects(r, &v.CreateContainer, readHook)
		case "startContainer":
			objects(r, &v.StartContainer, readHook)
		case "poststart":
			objects(r, &v.Poststart, readHook)
		case "poststop":
			objects(r, &v.Poststop, readHook)
		default:
			r.other()
		}
	})
}

func readHook(r *reader, v *specs.Hook) {
	r.object(func(key string) {
		switch key {
		case "path":
			r.string(&v.Path)
		case "args":
			texts(r, &v.Args)
		case "env":
			texts(r, &v.Env)
		case "timeout":
			opt(r, &v.Timeout, integer[int])
		default:
			r.other()
		}
	}, "path")
}

func readLinux(r *reader, v *specs.Linux) {
	r.object(func(key string) {
		switch key {
		case "namespaces":
			objects(r, &v.Namespaces, readNamespace)
		case "uidMappings":
			objects(r, &v.UIDMappings, readMapping)
		case "gidMappings":
			objects(r, &v.GIDMappings, readMapping)
		case "timeOffsets":
			table(r, &v.TimeOffsets, readTimeOffset)
		case "devices":
			objects(r, &v.Devices, readDevice)
		case "netDevices":
			table(r, &v.NetDevices, readNetDevice)
		case "cgroupsPath":
			r.string(&v.CgroupsPath)
		case "resources":
			opt(r, &v.Resources, readResources)
		case "intelRdt":
			opt(r, &v.IntelRdt, readIntelRdt)
		case "memoryPolicy":
			opt(r, &v.MemoryPolicy, readMemoryPolicy)
		case "sysctl":
			table(r, &v.Sysctl, text[string])
		case "seccomp":
			opt(r, &v.Seccomp, readSeccomp)
		case "rootfsPropagation":
			r.string(&v.RootfsPropagation)
		case "maskedPaths":
			texts(r, &v.MaskedPaths)
		case "readonlyPaths":
			texts(r, &v.ReadonlyPaths)
		case "mountLabel":
			r.string(&v.MountLabel)
		case "personality":
			opt(r, &v.Personality, readPersonality)
		default:
			r.other()
		}
	})
}

func readNamespace(r *reader, v *specs.LinuxNamespace) {
	r.object(func(key string) {
		switch key {
		case "type":
			text(r, &v.Type)
		case "path":
			r.string(&v.Path)
		default:
			r.other()
		}
	}, "type")
}

func readMapping(r *reader, v *specs.LinuxIDMapping) {
	r.object(func(key string) {
		switch key {
		case "containerID":
			natural(r, &v.ContainerID)
		case "hostID":
			natural(r, &v.HostID)
		case "size":
			natural(r, &v.Size)
		default:
			r.other()
		}
	}, "containerID", "hostID", "size")
}

func readTimeOffset(r *reader, v *specs.LinuxTimeOffset) {
	r.object(func(key string) {
		switch key {
		case "secs":
			integer(r, &v.Secs)
		case "nanosecs":
			natural(r, &v.Nanosecs)
		default:
			r.other()
		}
	})
}

func readDevice(r *reader, v *specs.LinuxDevice) {
	r.object(func(key string) {
		switch key {
		case "type":
			r.string(&v.Type)
		case "path":
			r.string(&v.Path)
		case "major":
			integer(r, &v.Major)
		case "minor":
			integer(r, &v.Minor)
		case "fileMode":
			opt(r, &v.FileMode, natural[os.FileMode])
		case "uid":
			opt(r, &v.UID, natural[uint32])
		case "gid":
			opt(r, &v.GID, natural[uint32])
		default:
			r.other()
		}
	}, "type", "path")
}

func readNetDevice(r *reader, v *specs.LinuxNetDevice) {
	r.object(func(key string) {
		switch key {
		case "name":
			r.string(&v.Name)
		default:
			r.other()
		}
	})
}

func readIntelRdt(r *reader, v *specs.LinuxIntelRdt) {
	r.object(func(key string) {
		switch key {
		case "closID":
			r.string(&v.ClosID)
		case "schemata":
			texts(r, &v.Schemata)
		case "l3CacheSchema":
			r.string(&v.L3CacheSchema)
		case "memBwSchema":
			r.string(&v.MemBwSchema)
		case "enableMonitoring":
			r.boolean(&v.EnableMonitoring)
		default:
			r.other()
		}
	})
}

func readMemoryPolicy(r *reader, v *specs.LinuxMemoryPolicy) {
	r.object(func(key string) {
		switch key {
		case "mode":
			text(r, &v.Mode)
		case "nodes":
			r.string(&v.Nodes)
		case "flags":
			texts(r, &v.Flags)
		default:
			r.other()
		}
	}, "mode")
}

func readPersonality(r *reader, v *specs.LinuxPersonality) {
	r.object(func(key string) {
		switch key {
		case "domain":
			text(r, &v.Domain)
		case "flags":
			texts(r, &v.Flags)
		default:
			r.other()
		}
	}, "domain")
}

func readSeccomp(r *reader, v *specs.LinuxSeccomp) {
	r.object(func(key string) {
		switch key {
		case "defaultAction":
			text(r, &v.DefaultAction)
		case "defaultErrnoRet":
			opt(r, &v.DefaultErrnoRet, natural[uint])
		case "architectures":
			texts(r, &v.Architectures)
		case "flags":
			texts(r, &v.Flags)
		case "listenerPath":
			r.string(&v.ListenerPath)
		case "listenerMetadata":
			r.string(&v.ListenerMetadata)
		case "syscalls":
			objects(r, &v.Syscalls, readSyscall)
		default:
			r.other()
		}
	}, "defaultAction")
}

func readSyscall(r *reader, v *specs.LinuxSyscall) {
	r.object(func(key string) {
		switch key {
		case "names":
			texts(r, &v.Names)
		case "action":
			text(r, &v.Action)
		case "errnoRet":
			opt(r, &v.ErrnoRet, natural[uint])
		case "args":
			objects(r, &v.Args, readSeccompArg)
		default:
			r.other()
		}
	}, "names", "action")
}

func readSeccompArg(r *reader, v *specs.LinuxSeccompArg) {
	r.object(func(key string) {
		switch key {
		case "index":
			natural(r, &v.Index)
		case "value":
			natural(r, &v.Value)
		case "valueTwo":
			natural(r, &v.ValueTwo)
		case "op":
			text(r, &v.Op)
		default:
			r.other()
		}
	}, "index", "value", "op")
}
