package webhook

import "time"

// Application is one customer of the producer: it owns endpoints and a log of messages.
type Application struct {
	ID        ID                `json:"id"`
	UID       string            `json:"uid,omitempty"` // the producer's own id, unique; may be empty
	Name      string            `json:"name"`
	RateLimit uint16            `json:"rateLimit,omitempty"` // messages per second; 0: none
	Metadata  map[string]string `json:"metadata,omitempty"`
	Endpoints uint32            `json:"endpoints,omitempty"` // limit on its endpoints; 0: the limit of the configuration
	// Tokens issued up to TokensSince are valid until TokensUntil. Zero: all tokens are valid.
	TokensSince time.Time `json:"tokensSince,omitzero"`
	TokensUntil time.Time `json:"tokensUntil,omitzero"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
	Revision    uint64    `json:"revision"` // Raft index of the entry that changed it last
}

// OperationalUID is the uid of the application whose messages are about Hookwheel itself:
// operational webhooks. If no application has this uid, none are sent.
const OperationalUID = "operational-webhooks"

// Validate checks the fields that a producer sets.
func (a *Application) Validate() error {
	if err := validName("name", a.Name); err != nil {
		return err
	}
	if err := validUID(KindApplication, a.UID); err != nil {
		return err
	}
	return validMetadata(a.Metadata)
}
