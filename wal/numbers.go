package wal

import "hookwheel/webhook"

// numbers says how the attempts of a message at an endpoint are numbered.
type numbers struct {
	upTo      webhook.ID // the last attempt of the message, at any endpoint, that is counted in
	manual    uint32     // the number of the next manual attempt
	scheduled uint32     // the number of the last scheduled one
}

func (n *numbers) count(a *webhook.Attempt) {
	if a.Trigger == webhook.TriggerManual {
		n.manual = max(n.manual, a.Number+1)
	} else {
		n.scheduled = max(n.scheduled, a.Number)
	}
}

// numbered remembers numbers, so that a message that is sent again and again does not take longer
// each time. Attempts are only added to a message, and leave after it: whoever can still ask for it
// needs just those after upTo. So what Apply does is the same whether the numbers are remembered or
// read again, as after a restart. Apply alone uses it.
type numbered struct {
	young, old map[delivered]numbers // together they are those used last
}

// delivered is a message at an endpoint.
type delivered struct{ endpoint, message webhook.ID }

const (
	maxNumbered = 4096 // numbers that are remembered
	longHistory = 32   // attempts of a message from which on that is worth it
)

// get returns the numbers of a message at an endpoint, and reports whether there are any.
func (n *numbered) get(at delivered) (is numbers, found bool) {
	if is, found = n.young[at]; !found {
		is, found = n.old[at]
	}
	return is, found
}

// put remembers numbers. When the young half is full, it takes the place of the old half.
func (n *numbered) put(at delivered, is numbers) {
	if len(n.young) >= maxNumbered/2 {
		n.young, n.old = nil, n.young
	}
	if n.young == nil {
		n.young = make(map[delivered]numbers)
	}
	n.young[at] = is
}
