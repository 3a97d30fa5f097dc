package spec

import specs "github.com/opencontainers/runtime-spec/specs-go"

// linux.resources, which create, and update on its own, read.

func readResources(r *reader, v *specs.LinuxResources) {
	r.object(func(key string) {
		switch key {
		case "devices":
			objects(r, &v.Devices, readDeviceRule)
		case "memory":
			opt(r, &v.Memory, readMemory)
		case "cpu":
			opt(r, &v.CPU, readCPU)
		case "pids":
			opt(r, &v.Pids, readPids)
		case "blockIO":
			opt(r, &v.BlockIO, readBlockIO)
		case "hugepageLimits":
			objects(r, &v.HugepageLimits, readHugepageLimit)
		case "network":
			opt(r, &v.Network, readNetwork)
		case "rdma":
			table(r, &v.Rdma, readRdma)
		case "unified":
			table(r, &v.Unified, text[string])
		default:
			r.other()
		}
	})
}

func readDeviceRule(r *reader, v *specs.LinuxDeviceCgroup) {
	r.object(func(key string) {
		switch key {
		case "allow":
			r.boolean(&v.Allow)
		case "type":
			r.string(&v.Type)
		case "major":
			opt(r, &v.Major, integer[int64])
		case "minor":
			opt(r, &v.Minor, integer[int64])
		case "access":
			r.string(&v.Access)
		default:
			r.other()
		}
	}, "allow")
}

func readMemory(r *reader, v *specs.LinuxMemory) {
	r.object(func(key string) {
		switch key {
		case "limit":
			opt(r, &v.Limit, integer[int64])
		case "reservation":
			opt(r, &v.Reservation, integer[int64])
		case "swap":
			opt(r, &v.Swap, integer[int64])
		case "kernel":
			//lint:ignore SA1019 deprecated for those who write configs; whoever reads them must see it to refuse it
			opt(r, &v.Kernel, integer[int64])
		case "kernelTCP":
			opt(r, &v.KernelTCP, integer[int64])
		case "swappiness":
			opt(r, &v.Swappiness, natural[uint64])
		case "disableOOMKiller":
			opt(r, &v.DisableOOMKiller, (*reader).boolean)
		case "useHierarchy":
			opt(r, &v.UseHierarchy, (*reader).boolean)
		case "checkBeforeUpdate":
			opt(r, &v.CheckBeforeUpdate, (*reader).boolean)
		default:
			r.other()
		}
	})
}

func readCPU(r *reader, v *specs.LinuxCPU) {
	r.object(func(key string) {
		switch key {
		case "shares":
			opt(r, &v.Shares, natural[uint64])
		case "quota":
			opt(r, &v.Quota, integer[int64])
		case "burst":
			opt(r, &v.Burst, natural[uint64])
		case "period":
			opt(r, &v.Period, natural[uint64])
		case "realtimeRuntime":
			opt(r, &v.RealtimeRuntime, integer[int64])
		case "realtimePeriod":
			opt(r, &v.RealtimePeriod, natural[uint64])
		case "cpus":
			r.string(&v.Cpus)
		case "mems":
			r.string(&v.Mems)
		case "idle":
			opt(r, &v.Idle, integer[int64])
		default:
			r.other()
		}
	})
}

func readPids(r *reader, v *specs.LinuxPids) {
	r.object(func(key string) {
		switch key {
		case "limit":
			opt(r, &v.Limit, integer[int64])
		default:
			r.other()
		}
	})
}

func readBlockIO(r *reader, v *specs.LinuxBlockIO) {
	r.object(func(key string) {
		switch key {
		case "weight":
			opt(r, &v.Weight, natural[uint16])
		case "leafWeight":
			opt(r, &v.LeafWeight, natural[uint16])
		case "weightDevice":
			objects(r, &v.WeightDevice, readWeightDevice)
		case "throttleReadBpsDevice":
			objects(r, &v.ThrottleReadBpsDevice, readThrottleDevice)
		case "throttleWriteBpsDevice":
			objects(r, &v.ThrottleWriteBpsDevice, readThrottleDevice)
		case "throttleReadIOPSDevice":
			objects(r, &v.ThrottleReadIOPSDevice, readThrottleDevice)
		case "throttleWriteIOPSDevice":
			objects(r, &v.ThrottleWriteIOPSDevice, readThrottleDevice)
		default:
			r.other()
		}
	})
}

func readWeightDevice(r *reader, v *specs.LinuxWeightDevice) {
	r.object(func(key string) {
		switch key {
		case "major":
			integer(r, &v.Major)
		case "minor":
			integer(r, &v.Minor)
		case "weight":
			opt(r, &v.Weight, natural[uint16])
		case "leafWeight":
			opt(r, &v.LeafWeight, natural[uint16])
		default:
			r.other()
		}
	}, "major", "minor")
}

func readThrottleDevice(r *reader, v *specs.LinuxThrottleDevice) {
	r.object(func(key string) {
		switch key {
		case "major":
			integer(r, &v.Major)
		case "minor":
			integer(r, &v.Minor)
		case "rate":
			natural(r, &v.Rate)
		default:
			r.other()
		}
	}, "major", "minor", "rate")
}

func readHugepageLimit(r *reader, v *specs.LinuxHugepageLimit) {
	r.object(func(key string) {
		switch key {
		case "pageSize":
			r.string(&v.Pagesize)
		case "limit":
			natural(r, &v.Limit)
		default:
			r.other()
		}
	}, "pageSize", "limit")
}

func readNetwork(r *reader, v *specs.LinuxNetwork) {
	r.object(func(key string) {
		switch key {
		case "classID":
			opt(r, &v.ClassID, natural[uint32])
		case "priorities":
			objects(r, &v.Priorities, readPriority)
		default:
			r.other()
		}
	})
}

func readPriority(r *reader, v *specs.LinuxInterfacePriority) {
	r.object(func(key string) {
		switch key {
		case "name":
			r.string(&v.Name)
		case "priority":
			natural(r, &v.Priority)
		default:
			r.other()
		}
	}, "name", "priority")
}

func readRdma(r *reader, v *specs.LinuxRdma) {
	r.object(func(key string) {
		switch key {
		case "hcaHandles":
			opt(r, &v.HcaHandles, natural[uint32])
		case "hcaObjects":
			opt(r, &v.HcaObjects, natural[uint32])
		default:
			r.other()
		}
	})
}
