package node

import (
	"strings"
	"testing"
)

func TestDivideDescriptors(t *testing.T) {
	if n, err := divideDescriptors(1024, 512); err != nil || n != 64 {
		t.Errorf("of 1024: %d, %v", n, err)
	}
	if n, err := divideDescriptors(20_000, 512); err != nil || n != 20_000-448-512 {
		t.Errorf("of 20,000: %d, %v", n, err)
	}
	if n, err := divideDescriptors(1<<63, 256); err != nil || n != 1<<30 {
		t.Errorf("without a limit: %d, %v", n, err)
	}
	_, err := divideDescriptors(700, 512)
	if err == nil || !strings.Contains(err.Error(), "ulimit -n") || !strings.Contains(err.Error(), "LimitNOFILE") || !strings.Contains(err.Error(), "1024") {
		t.Errorf("of 700: %v", err)
	}
}
