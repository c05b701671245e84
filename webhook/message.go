package webhook

// Message is one event sent to one application. It is stored once, however many endpoints want it.
type Message struct {
	ID        ID
	App       ID
	EventType string
	EventID   string   // the producer's own name for it, unique in the application; may be empty
	Channels  []string // empty: none
	Payload   []byte   // the JSON that goes out, byte for byte as it came in
}

// Validate checks what a producer may choose. Whether Payload is a JSON object is for the reader of the request to say.
func (m *Message) Validate() error {
	if err := validWord("eventType", m.EventType); err != nil {
		return err
	}
	if m.EventID != "" {
		if err := validWord("eventId", m.EventID); err != nil {
			return err
		}
		if hasPrefix(KindMessage, m.EventID) {
			return Invalid("eventId", "must not begin with msg_, which is how our own ids begin")
		}
	}
	return validWords("channels", m.Channels, maxChannels)
}
