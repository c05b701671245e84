package webhook

import "slices"

// Capability is a part of what the holder of a key of RoleApplication may do, as Svix names it.
type Capability string

// The capabilities.
const (
	ViewBase              Capability = "ViewBase"              // read everything but secrets; always needed
	ViewEndpointSecret    Capability = "ViewEndpointSecret"    // see the signing secrets of endpoints
	ManageEndpointSecret  Capability = "ManageEndpointSecret"  // rotate and see them
	ManageTransformations Capability = "ManageTransformations" // nothing here, as there are no transformations
	CreateAttempts        Capability = "CreateAttempts"        // send messages again, and examples
	ManageEndpoint        Capability = "ManageEndpoint"        // change endpoints, with their secrets
)

// Capabilities are all that there are, in the order in which lists are stored.
var Capabilities = []Capability{ViewBase, ViewEndpointSecret, ManageEndpointSecret, ManageTransformations, CreateAttempts, ManageEndpoint}

// implied lists what a capability includes.
var implied = map[Capability][]Capability{
	ManageEndpointSecret: {ViewEndpointSecret},
	ManageEndpoint:       {ViewEndpointSecret, ManageEndpointSecret},
}

// Can reports whether a key of RoleApplication has a capability. Without a list it has all.
func (k *APIKey) Can(c Capability) bool {
	return len(k.Capabilities) == 0 || slices.Contains(k.Capabilities, c)
}

// ReadOnly reports whether a key may neither change anything nor see secrets.
func (k *APIKey) ReadOnly() bool { return len(k.Capabilities) == 1 }

// CompleteCapabilities returns a list in the order of Capabilities, without duplicates and with
// what its items include. Unknown items are at the end, for Validate to refuse.
func CompleteCapabilities(list []Capability) []Capability {
	var complete []Capability
	for _, c := range Capabilities {
		includes := func(given Capability) bool { return given == c || slices.Contains(implied[given], c) }
		if slices.ContainsFunc(list, includes) {
			complete = append(complete, c)
		}
	}
	for _, given := range list {
		if !slices.Contains(Capabilities, given) {
			return append(complete, given)
		}
	}
	return complete
}

// validCapabilities requires a list as CompleteCapabilities returns it, with ViewBase.
func validCapabilities(list []Capability) error {
	for _, c := range list {
		if !slices.Contains(Capabilities, c) {
			return Invalid("capabilities", "may hold ViewBase, ViewEndpointSecret, ManageEndpointSecret, ManageTransformations, CreateAttempts and ManageEndpoint")
		}
	}
	switch {
	case len(list) == 0:
		return nil
	case list[0] != ViewBase:
		return Invalid("capabilities", "must hold ViewBase, which everything else needs")
	case !slices.Equal(list, CompleteCapabilities(list)):
		return Invalid("capabilities", "must be in order, with everything that they include")
	default:
		return nil
	}
}
