package cgroup

import (
	"errors"
	"fmt"
	"math"
)

// weightFromShares converts v1's cpu.shares (2 to 262144, default 1024) to v2's cpu.weight (1 to 10000, default 100). The
// curve meets both ends and the default, which the linear formula of older runtimes did not: a container of 1024 shares got
// 39 and lost against its neighbours. runc and crun use the same curve from 1.3.2 and 1.23 on.
func weightFromShares(shares uint64) uint64 {
	switch {
	case shares == 0:
		return 0
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// ioWeight converts v1's blkio.weight (10 to 1000) to v2's io.weight (1 to 10000), linearly.
func ioWeight(weight uint16) uint64 {
	if weight == 0 {
		return 0
	}
	return 1 + (uint64(weight)-10)*9999/990
}

// swapV2 converts the spec's swap, which counts memory and swap together, to v2's, which counts swap alone.
func swapV2(swap int64, limit *int64) (int64, error) {
	if swap < 0 {
		return -1, nil
	}
	if !set(limit) || *limit < 0 {
		return 0, errors.New("it needs memory.limit, since it counts memory and swap together and cgroup v2 counts swap alone")
	}
	if swap < *limit {
		return 0, fmt.Errorf("%d is less than memory.limit %d, and it counts memory and swap together", swap, *limit)
	}
	return swap - *limit, nil
}
