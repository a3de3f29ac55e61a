/* SPDX-License-Identifier: ISC */
/* Two chains of one self-signed certificate each, by "Root A" and "Root B". */
#ifndef RENEWD_TESTS_ACME_CHAINS_H
#define RENEWD_TESTS_ACME_CHAINS_H

#define CHAIN_A                                                                                    \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBeTCCAR+gAwIBAgIUQAX8227RkgalBUAVfOHbEwc+lmowCgYIKoZIzj0EAwIw\n"                           \
    "ETEPMA0GA1UEAwwGUm9vdCBBMCAXDTI2MTEyMTIxMzIwMVoYDzIxMjYxMDI4MjEz\n"                           \
    "MjAxWjARMQ8wDQYDVQQDDAZSb290IEEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"                           \
    "AARilMCaXdWrbqPfykriax56BadvY9q7akbR5W54J0wlgqE+3c7DIP5C1ult+Eif\n"                           \
    "RpfZUoeaPUohuJmAR4PgNA1Po1MwUTAdBgNVHQ4EFgQU/HTpp4Pl6e2latbJ5pEr\n"                           \
    "xtVeg5EwHwYDVR0jBBgwFoAU/HTpp4Pl6e2latbJ5pErxtVeg5EwDwYDVR0TAQH/\n"                           \
    "BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAvs/TITn5WxXZzPxKWrqtEUt/w9YS\n"                           \
    "0fHfX7gG92TpzUwCID/SEKU7N1eC4zPEe5tQs4yc44FHRVB3RqMZ/c37oj3p\n"                               \
    "-----END CERTIFICATE-----\n"

#define CHAIN_B                                                                                    \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBeTCCAR+gAwIBAgIUIcgPhbc6XdJJqUslscFnW76x8vcwCgYIKoZIzj0EAwIw\n"                           \
    "ETEPMA0GA1UEAwwGUm9vdCBCMCAXDTI2MTEyMTIxMzIwMVoYDzIxMjYxMDI4MjEz\n"                           \
    "MjAxWjARMQ8wDQYDVQQDDAZSb290IEIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"                           \
    "AATiPErKx0hs5sjHVhSetaTNwH5jzyDLPdpr0A30+4ZNMc48nSbb7nNbYavem1dK\n"                           \
    "6Y4+rsSG4HoMcpYh3d9gveVHo1MwUTAdBgNVHQ4EFgQUt3ijqK4HEXuegNYQf3OH\n"                           \
    "AeyWh80wHwYDVR0jBBgwFoAUt3ijqK4HEXuegNYQf3OHAeyWh80wDwYDVR0TAQH/\n"                           \
    "BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAkEZKTa53SW1bT6z8uZ7yPmjxuCYg\n"                           \
    "HKqjrO3H16zkWwQCICD0Uvvx7CxX4W2EntJW2asC3mIp+aCYcIsh5TM6sopn\n"                               \
    "-----END CERTIFICATE-----\n"

#endif
