package webhook

import "time"

// Application is one customer of the producer: it owns endpoints and a log of messages.
type Application struct {
	ID        ID                `json:"id"`
	UID       string            `json:"uid,omitempty"` // the producer's own name for it, unique; may be empty
	Name      string            `json:"name"`
	RateLimit uint16            `json:"rateLimit,omitempty"` // messages per second; 0: none
	Metadata  map[string]string `json:"metadata,omitempty"`
	Endpoints uint32            `json:"endpoints,omitempty"` // how many it may have; 0: what the configuration says
	// Its tokens that were made up to TokensSince are good until TokensUntil. Zero: all are good.
	TokensSince time.Time `json:"tokensSince,omitzero"`
	TokensUntil time.Time `json:"tokensUntil,omitzero"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
	Revision    uint64    `json:"revision"` // Raft index of the entry that changed it last
}

// OperationalUID is the uid of the application whose messages are about Hookwheel itself:
// operational webhooks. While there is no application with this uid there are none.
const OperationalUID = "operational-webhooks"

// Validate checks what a producer may choose.
func (a *Application) Validate() error {
	if err := validName("name", a.Name); err != nil {
		return err
	}
	if err := validUID(KindApplication, a.UID); err != nil {
		return err
	}
	return validMetadata(a.Metadata)
}
