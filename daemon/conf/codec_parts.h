/* SPDX-License-Identifier: ISC */
/* What the two halves of conf/codec.h agree on. */
#ifndef RENEWD_CONF_CODEC_PARTS_H
#define RENEWD_CONF_CODEC_PARTS_H

#define CODEC_VERSION 2

/* The listeners that most certificates have are not written out. */
#define CODEC_LISTENERS 2
static const char *const codec_http_listen[CODEC_LISTENERS] = {"0.0.0.0:80", "[::]:80"};
static const char *const codec_alpn_listen[CODEC_LISTENERS] = {"0.0.0.0:443", "[::]:443"};

#endif
