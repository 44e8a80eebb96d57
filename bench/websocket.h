#pragma once
/* websocket: as much of RFC 6455 as the bench programs need: the opening handshake, and frames that are messages.
 * Pure: bytes in, bytes out. */
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WEBSOCKET_FIN 0x80u
#define WEBSOCKET_OPCODE 0x0fu
#define WEBSOCKET_BINARY 2u
#define WEBSOCKET_CLOSE 8u
#define WEBSOCKET_MASKED 0x80u
#define WEBSOCKET_MASK 4                /* bytes of a mask */
#define WEBSOCKET_HEAD_MAX 14
#define WEBSOCKET_KEY 24                /* bytes of a key, in base64 */

/* What a request says beside its usual headers. */
#define WEBSOCKET_OFFER                                                                                              \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                                     \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* The 101 for the key of a request; returns its length. RFC 6455 section 4.2.2. */
static inline size_t websocket_write_answer(char *at, size_t room, const char *key)
{
    char both[WEBSOCKET_KEY + 37];
    unsigned char digest[EVP_MAX_MD_SIZE], accept[64];
    snprintf(both, sizeof both, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    if (!EVP_Digest(both, strlen(both), digest, NULL, EVP_sha1(), NULL))
        return 0;
    EVP_EncodeBlock(accept, digest, 20);
    return (size_t)snprintf(at, room, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                            "Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", (char *)accept);
}

/* The length of a frame's head, as far as the first len bytes of it tell: that many are needed at least. */
static inline size_t websocket_head_bytes(const uint8_t *frame, size_t len)
{
    if (len < 2)
        return 2;
    unsigned size = frame[1] & 0x7fu;
    return 2u + (size == 126 ? 2u : size == 127 ? 8u : 0u) + (frame[1] & WEBSOCKET_MASKED ? WEBSOCKET_MASK : 0u);
}

/* Of a frame whose head is there. */
static inline uint64_t websocket_payload_bytes(const uint8_t *frame)
{
    unsigned size = frame[1] & 0x7fu, more = size == 126 ? 2 : size == 127 ? 8 : 0;
    uint64_t bytes = more ? 0 : size;
    for (unsigned i = 0; i < more; i++)
        bytes = bytes << 8 | frame[2 + i];
    return bytes;
}

/* The head of a client's frame with a whole binary message of len bytes; returns its length. */
static inline size_t websocket_write_head(char *at, uint64_t len)
{
    size_t more = len < 126 ? 0 : len < 65536 ? 2 : 8;
    at[0] = (char)(WEBSOCKET_FIN | WEBSOCKET_BINARY);
    at[1] = (char)(WEBSOCKET_MASKED | (more == 0 ? len : more == 2 ? 126 : 127));
    for (size_t i = 0; i < more; i++)
        at[2 + i] = (char)(len >> 8 * (more - 1 - i));
    memcpy(at + 2 + more, "\x5a\xa5\x12\x34", WEBSOCKET_MASK);
    return 2 + more + WEBSOCKET_MASK;
}

static inline void websocket_unmask(char *at, size_t len, const char *mask_at)
{
    char mask[WEBSOCKET_MASK];
    memcpy(mask, mask_at, sizeof mask);
    for (size_t i = 0; i < len; i++)
        at[i] ^= mask[i % WEBSOCKET_MASK];
}
