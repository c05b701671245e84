//go:build !sabotage_wrapped

package wal

// looksInside has the disk's watermark judge the command that another one carries.
const looksInside = true
