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

<!-- tested by TestReceiving: with real, forged and old requests -->
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

<!-- tested by TestReceiving: with real, forged and old requests -->
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

<!-- tested by TestReceiving: with real, forged and old requests -->
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

<!-- tested by TestReceiving: with real, forged and old requests -->
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

<!-- tested by TestReceiving: with real, forged and old requests -->
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

<!-- tested by TestReceiving: with real, forged and old requests -->
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

### Elixir

<!-- tested by TestReceiving: with real, forged and old requests -->
\`\`\`elixir
defmodule Webhooks do
  # body is the binary that Plug.Conn.read_body returns, before any parser has read it.
  def verify(secret, id, timestamp, signatures, body) do
    with {seconds, ""} <- Integer.parse(timestamp),
         true <- abs(System.os_time(:second) - seconds) <= 300,
         {:ok, key} <- Base.decode64(String.replace_prefix(secret, "whsec_", "")) do
      mac = :crypto.mac(:hmac, :sha256, key, "#{id}.#{timestamp}." <> body)
      want = "v1," <> Base.encode64(mac)
      signatures |> String.split(" ") |> Enum.any?(&equal?(&1, want))
    else
      _ -> false
    end
  end

  defp equal?(a, b), do: byte_size(a) == byte_size(b) and :crypto.hash_equals(a, b)
end
\`\`\`

### Perl

<!-- tested by TestReceiving: with real, forged and old requests -->
\`\`\`perl
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(decode_base64 encode_base64);

# $body consists of bytes, not of decoded characters.
sub verify {
    my ($secret, $id, $timestamp, $signatures, $body) = @_;
    return 0 unless $timestamp =~ /\\A[0-9]+\\z/ && abs(time - $timestamp) <= 300;
    my $key = decode_base64($secret =~ s/\\Awhsec_//r);
    my $want = "v1," . encode_base64(hmac_sha256("$id.$timestamp.$body", $key), "");
    # The digests of two texts can be compared in any time: they reveal nothing about the texts.
    my $digest = hmac_sha256($want, $key);
    return scalar grep { hmac_sha256($_, $key) eq $digest } split / /, $signatures;
}
\`\`\`

### C

With OpenSSL 1.1 or later; link with \`-lcrypto\`.

<!-- tested by TestReceiving: with real, forged and old requests -->
\`\`\`c
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int verify(const char *secret, const char *id, const char *timestamp, const char *signatures,
           const unsigned char *body, size_t size) {
    size_t digits = strspn(timestamp, "0123456789");
    if (digits == 0 || digits > 15 || timestamp[digits] || llabs(time(NULL) - atoll(timestamp)) > 300)
        return 0;

    unsigned char key[192];
    if (strncmp(secret, "whsec_", 6) == 0)
        secret += 6;
    size_t length = strlen(secret);
    if (length == 0 || length / 4 * 3 > sizeof key)
        return 0;
    int key_size = EVP_DecodeBlock(key, (const unsigned char *)secret, (int)length);
    if (key_size < 0)
        return 0;
    for (; length > 0 && secret[length - 1] == '='; length--)
        key_size--; // EVP_DecodeBlock counts the padding

    unsigned char *text = malloc(strlen(id) + strlen(timestamp) + 3 + size);
    if (text == NULL)
        return 0;
    int head = sprintf((char *)text, "%s.%s.", id, timestamp);
    if (size > 0)
        memcpy(text + head, body, size);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_size = 0;
    HMAC(EVP_sha256(), key, key_size, text, head + size, mac, &mac_size);
    free(text);

    char want[64] = "v1,";
    size_t want_size = 3 + EVP_EncodeBlock((unsigned char *)want + 3, mac, (int)mac_size);
    for (const char *at = signatures; *at; at += strspn(at, " ")) {
        size_t got = strcspn(at, " ");
        if (got == want_size && CRYPTO_memcmp(at, want, want_size) == 0)
            return 1;
        at += got;
    }
    return 0;
}
\`\`\`

### Bash

For scripts and for trying things out: the key is visible in the list of processes for a moment, and
the comparison does not take constant time. The body is on standard input.

<!-- tested by TestReceiving: with real, forged and old requests -->
\`\`\`bash
verify() {
  local secret=$1 id=$2 timestamp=$3 list age key want signature
  read -ra list <<< "$4"
  [[ $timestamp =~ ^[0-9]{1,15}$ ]] || return 1
  age=$(($(date +%s) - 10#$timestamp))
  ((-300 <= age && age <= 300)) || return 1
  key=$(printf %s "\${secret#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')
  want=v1,$({ printf '%s.%s.' "$id" "$timestamp"; cat; } |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
  for signature in "\${list[@]}"; do
    [[ $signature == "$want" ]] && return 0
  done
  return 1
}
\`\`\`

## Find out why a signature is not valid

Store the headers and the body of a request in files; \`hookwheel verify\` explains the difference:

\`\`\`console
$ printf '{"email":"test@example.com","username":"test_user"}' > body.json
$ hookwheel verify --secret whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD --tolerance 1000000h \\
  -H 'webhook-id: msg_27UH4WbU6Z5A5EzD8u03UvzRbpk' -H 'webhook-timestamp: 1649367553' \\
  -H 'webhook-signature: v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=' body.json
valid: the signature…
\`\`\`

## Try it out

\`hookwheel listen\` receives webhooks and prints them, verified; it can also fail on purpose, to show how
a sender copes, for example with \`--status 503 --fail-rate 0.3 --delay 2s\`. Create an endpoint for it,
and send an event:

\`\`\`sh
hookwheel endpoint create acme http://127.0.0.1:9000/ --uid local
hookwheel listen --secret "$(hookwheel endpoint secret acme local)" --count 1 &
LISTEN=$!
sleep 1
hookwheel message send acme invoice.paid '{"invoice": 2}'
wait $LISTEN
\`\`\`

An example of any event type can be sent from the portal, or with \`POST
…/endpoint/{endpoint}/send-example\`.

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
`;export{s as default};
