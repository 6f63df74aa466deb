/* b64url: base64url without padding (RFC 4648 §5, RFC 8555 §6.1). Any thread. */
#ifndef BASE_B64URL_H
#define BASE_B64URL_H

#include "base/buf.h"

void b64url_encode(struct buf *out, struct slice bytes);
/* Appends the decoded bytes. False, and nothing appended, where the text holds padding, other characters, an
 * impossible length or trailing bits that are not zero. */
bool b64url_decode(struct buf *out, struct slice text);
/* Only characters of the alphabet, and at least one. */
bool b64url_valid(struct slice text);
/* The ordinary alphabet with padding; what PEM, WebSocket and EAB keys of some CAs use. White space is skipped;
 * the padding must be there, and the rules of b64url_decode hold otherwise. */
void b64_encode(struct buf *out, struct slice bytes);
bool b64_decode(struct buf *out, struct slice text);

#endif
