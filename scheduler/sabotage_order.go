//go:build sabotage_order

package scheduler

const waitsForLog = false
