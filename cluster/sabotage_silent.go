//go:build sabotage_silent

package cluster

import "time"

const (
	rpcTimeout       = time.Hour
	watchesFollowers = false
)
