package webhook

import "slices"

// Changes are the effects of one entry of the replicated log that a scheduler must know.
type Changes struct {
	Messages     []*Message // in log order
	Endpoints    []*Endpoint
	Applications []*Application // created or changed
	Removed      []ID           // endpoints
	Manual       []ID           // endpoints whose manual set has grown
	Moved        []ID           // endpoints whose cursor was moved by anything but progress
	Expunged     []*Message     // as they are now
	Tasks        bool           // a user created or changed a task
}

// IsEmpty reports whether there are no changes.
func (c *Changes) IsEmpty() bool {
	return len(c.Messages)+len(c.Endpoints)+len(c.Applications)+len(c.Removed)+len(c.Manual)+len(c.Moved)+len(c.Expunged) == 0 && !c.Tasks
}

// AddManual records that the manual set of an endpoint has grown.
func (c *Changes) AddManual(endpoint ID) {
	if !slices.Contains(c.Manual, endpoint) {
		c.Manual = append(c.Manual, endpoint)
	}
}
