/* decoder: the other side of exchange/encoder, through the real libraries, a piece at a time. */
#ifndef SUPPORT_DECODER_H
#define SUPPORT_DECODER_H

#include "base/buf.h"
#include "config/config.h"

struct decoder;

struct decoder *decoder_new(enum config_encoding encoding);
void decoder_free(struct decoder *decoder);
/* Appends all that can be decoded so far. False: the bytes are wrong, or there are some behind the end. */
bool decoder_feed(struct decoder *decoder, struct slice in, struct buf *out);
/* The stream has come to its proper end. */
bool decoder_ended(const struct decoder *decoder);

/* All at once. False: wrong or not whole. */
bool decode(enum config_encoding encoding, struct slice in, struct buf *out);

#endif
