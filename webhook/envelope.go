package webhook

import (
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf8"
)

// AppendEnvelope appends a message as {"webhook_id", "type", "timestamp", "data"}; the timestamp is
// when the message was accepted. A JSON payload is embedded byte for byte. Other text becomes a
// string, and other bytes are encoded in base64 as "data_base64" instead, as in CloudEvents 1.0.
func AppendEnvelope(dst []byte, m *Message) []byte {
	dst = append(dst, `{"webhook_id":"`...)
	dst = append(dst, m.ID.Text(KindMessage)...)
	dst = append(dst, `","type":"`...) // its characters need no escapes, see validWord
	dst = append(dst, m.EventType...)
	dst = append(dst, `","timestamp":"`...)
	dst = m.ID.Time().UTC().AppendFormat(dst, time.RFC3339Nano)
	switch {
	case !m.Raw || json.Valid(m.Payload):
		dst = append(append(dst, `","data":`...), m.Payload...)
	case utf8.Valid(m.Payload):
		text, _ := json.Marshal(string(m.Payload)) // a string can always be encoded
		dst = append(append(dst, `","data":`...), text...)
	default:
		dst = append(dst, `","data_base64":"`...)
		dst = append(base64.StdEncoding.AppendEncode(dst, m.Payload), '"')
	}
	return append(dst, '}')
}
