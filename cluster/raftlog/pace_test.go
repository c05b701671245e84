package raftlog

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	p := new(pace)
	p.begin()()
	if p.isSlow() {
		t.Error("a quick write counts as slow")
	}
	end := p.begin()
	p.began = time.Now().Add(-slowWrite)
	if !p.isSlow() {
		t.Error("a write that takes long is not noticed while it lasts")
	}
	end()
	p.slow = time.Now().Add(-slowMemory)
	if p.isSlow() {
		t.Error("the disk counts as slow permanently")
	}
}
