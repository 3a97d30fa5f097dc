package cgroup

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// blockIO lowers linux.resources.blockIO. Weights exist twice in the kernel: for BFQ (its own files, the spec's range) and
// for v1's CFQ or v2's iocost. BFQ's file goes first, as with runc; a kernel has at most one of them in effect.
func (lo *lowering) blockIO(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	if b.Weight != nil && *b.Weight != 0 {
		lo.weight("blockIO.weight", "blockIO.weight", "", *b.Weight)
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 {
		lo.write("blockIO.leafWeight", unsigned(uint64(*b.LeafWeight)), "")
	}
	for i, d := range b.WeightDevice {
		lo.weightDevice(fmt.Sprintf("blockIO.weightDevice[%d]", i), d)
	}
	lo.throttle("blockIO.throttleReadBpsDevice", "rbps", b.ThrottleReadBpsDevice)
	lo.throttle("blockIO.throttleWriteBpsDevice", "wbps", b.ThrottleWriteBpsDevice)
	lo.throttle("blockIO.throttleReadIOPSDevice", "riops", b.ThrottleReadIOPSDevice)
	lo.throttle("blockIO.throttleWriteIOPSDevice", "wiops", b.ThrottleWriteIOPSDevice)
}

// weight writes a weight, for one device ("8:0 ") or for all (""), to BFQ's file or else to the other scheduler's.
func (lo *lowering) weight(field, shown, device string, w uint16) {
	if w < 10 || w > 1000 {
		lo.fail(shown, "%d is not within 10 to 1000", w)
		return
	}
	plain := device + unsigned(uint64(w))
	switch lo.version("blkio") {
	case 2:
		lo.writeAs(field, shown, "", plain, Choice{"io.weight", device + unsigned(ioWeight(w))})
		lo.rename("io.weight", "io.bfq.weight")
	default:
		v1 := map[bool]string{true: "blkio.weight", false: "blkio.weight_device"}[device == ""]
		bfq := map[bool]string{true: "blkio.bfq.weight", false: "blkio.bfq.weight_device"}[device == ""]
		lo.writeAs(field, shown, plain, "", Choice{v1, plain})
		lo.rename(v1, bfq)
	}
}

// rename changes the file of the last operation.
func (lo *lowering) rename(from, to string) {
	op := lo.last()
	if n := len(op.Path) - len(from); n >= 0 && op.Path[n:] == from {
		op.Path = op.Path[:n] + to
	}
}

func (lo *lowering) weightDevice(shown string, d specs.LinuxWeightDevice) {
	device := fmt.Sprintf("%d:%d ", d.Major, d.Minor)
	if d.Weight == nil && d.LeafWeight == nil {
		lo.fail(shown, "it has neither weight nor leafWeight")
	}
	if d.Weight != nil && *d.Weight != 0 {
		lo.weight("blockIO.weightDevice", shown+".weight", device, *d.Weight)
	}
	if d.LeafWeight != nil && *d.LeafWeight != 0 {
		lo.writeAs("blockIO.weightDevice.leafWeight", shown+".leafWeight", device+unsigned(uint64(*d.LeafWeight)), "")
	}
}

// throttle writes one list of rates. In v2 a rate of 0 is spelled "max"; in v1 0 means no limit by itself.
func (lo *lowering) throttle(field, key string, devices []specs.LinuxThrottleDevice) {
	for i, d := range devices {
		device, rate := fmt.Sprintf("%d:%d ", d.Major, d.Minor), unsigned(d.Rate)
		v2 := device + key + "=" + rate
		if d.Rate == 0 {
			v2 = device + key + "=max"
		}
		lo.writeAs(field, fmt.Sprintf("%s[%d]", field, i), device+rate, v2)
	}
}
