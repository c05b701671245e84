var s=`# Receiving webhooks

For the developers of your customers, who write the server behind an endpoint's URL.

## What arrives

An HTTP POST with the payload as its body, byte for byte as the producer sent it, and three headers,
defined by [Standard Webhooks](https://www.standardwebhooks.com):

| header | content |
|---|---|
| \`webhook-id\` | the ID of the message, the same in every attempt |
| \`webhook-timestamp\` | the time of the attempt, in seconds since the Unix epoch |
| \`webhook-signature\` | one or more signatures such as \`v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=\`, separated by spaces |

The same values are sent as \`svix-id\`, \`svix-timestamp\` and \`svix-signature\`, so the libraries of
Svix work as well as those of Standard Webhooks. [delivery.md](delivery.md) describes the other
signature styles.

## Verify the signature

Anybody who knows your URL can send requests to it. Verify each one before you use it:

1. Reject it if \`webhook-timestamp\` differs from your clock by more than five minutes. This limits
   replays.
2. Compute HMAC-SHA256 over the ID, the timestamp and the body, joined by full stops. The key is the
   part of the secret after \`whsec_\`, decoded from base64.
3. Compare the result, in constant time, with each signature that begins with \`v1,\`. One match is
   enough: during a rotation there are two signatures.

Use the body exactly as it arrived. Parsing it and serializing it again changes bytes, and with them
the signature.

The functions below need only the standard library of their language. A customer finds the secret in
the portal; you get it with \`hookwheel endpoint secret\`.

### Python

\`\`\`python
import base64, hashlib, hmac, time

def verify(secret: str, id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    try:
        if abs(time.time() - int(timestamp)) > 300:
            return False
    except ValueError:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{id}.{timestamp}.".encode() + body
    want = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    return any([hmac.compare_digest(want, s.encode()) for s in signatures.split(" ")])
\`\`\`

### Node.js

\`\`\`javascript
const crypto = require("node:crypto");

// body is a Buffer, such as req.body with express.raw({ type: "*/*" }).
function verify(secret, id, timestamp, signatures, body) {
  if (!/^\\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) {
    return false;
  }
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const hmac = crypto.createHmac("sha256", key).update(\`\${id}.\${timestamp}.\`).update(body);
  const want = Buffer.from("v1," + hmac.digest("base64"));
  return signatures.split(" ").some((s) => {
    const got = Buffer.from(s);
    return got.length === want.length && crypto.timingSafeEqual(got, want);
  });
}
\`\`\`

### Go

\`\`\`go
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

func verify(secret, id, timestamp, signatures string, body []byte) bool {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for signature := range strings.SplitSeq(signatures, " ") {
		if hmac.Equal([]byte(signature), []byte(want)) {
			return true
		}
	}
	return false
}
\`\`\`

### Ruby

\`\`\`ruby
require "openssl"

def verify(secret, id, timestamp, signatures, body)
  return false unless timestamp.match?(/\\A\\d+\\z/) && (Time.now.to_i - timestamp.to_i).abs <= 300
  key = secret.delete_prefix("whsec_").unpack1("m")
  want = "v1," + [OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.".b + body.b)].pack("m0")
  signatures.split(" ").any? { |signature| OpenSSL.secure_compare(signature, want) }
end
\`\`\`

### PHP

\`\`\`php
<?php

function verify(string $secret, string $id, string $timestamp, string $signatures, string $body): bool
{
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    foreach (explode(' ', $signatures) as $signature) {
        if (hash_equals($want, $signature)) {
            return true;
        }
    }
    return false;
}
\`\`\`

### Java

\`\`\`java
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

class Webhooks {
    static boolean verify(String secret, String id, String timestamp, String signatures, byte[] body)
            throws GeneralSecurityException {
        if (!timestamp.matches("\\\\d{1,15}")
                || Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > 300) {
            return false;
        }
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getDecoder().decode(secret.replaceFirst("^whsec_", "")), "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        byte[] want = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
        for (String signature : signatures.split(" ")) {
            if (MessageDigest.isEqual(want, signature.getBytes(StandardCharsets.UTF_8))) {
                return true;
            }
        }
        return false;
    }
}
\`\`\`

To find out why a request does not verify, store its headers and body in files and run \`hookwheel
verify --secret whsec_… --headers headers.txt body.json\`; it explains the difference.

## Respond quickly

- **2xx** means that you have the message: store it, respond, and do the work afterwards. A response
  has to arrive within \`delivery.timeout\`, 15 s by default.
- **410** disables the endpoint.
- **429, 502, 503 and 504 with \`Retry-After\`** pause the endpoint for that long, up to an hour.
- **Anything else**, redirects included, is a failure, and the message is sent again later: after 5
  s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h by default. While you are down, probes keep looking for
  you, so after an outage the first message comes within five minutes at most.
- The response header \`webhook-delivery: disable\` disables the endpoint, and \`webhook-delivery:
  abort-message\` gives up a message that you never want to see again.

The first 20,000 bytes of your response are recorded and displayed with the attempt. An error
message there helps whoever looks into it.

## Expect duplicates

A message may arrive more than once: when your response was lost, or when the sender's leader failed
while the request was in flight. Store the \`webhook-id\` of each message in the transaction that
processes it, and skip IDs that you have already stored. Keep them for as long as messages can be
sent again, 30 days by default.

## Expect any order

Unless the endpoint has an \`ordering\`, messages may arrive out of order: a failed one comes after
those that followed it. Use the time or a version in the payload, or read the current state from the
producer's API. [delivery.md](delivery.md#rate-order-and-time) describes ordered endpoints.

## Limits

| | |
|---|---|
| size of a payload | \`api.max_body\` of the sender, 1 MiB by default; an envelope adds to it |
| time for a response | \`delivery.timeout\`, 15 s by default, connecting included |
| headers of a response | 32 KiB |
| body of a response | the first 20,000 bytes are recorded, the rest is not read |
| concurrent requests | grows while you respond well, shrinks when you do not; \`throttleRate\` limits messages per second |

To try your receiver, point an endpoint at it and send an example from the portal, or with \`POST
…/endpoint/{endpoint}/send-example\`. To see what a request looks like, use \`hookwheel listen\`.
`;export{s as default};
