/* SPDX-License-Identifier: ISC */
#include "io/transfer.h"

#include "base/secret.h"
#include "base/str.h"
#include "io/egress.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define URL_MAX 4096
#define UPLOAD_BUFFER 16384L /* the least; libcurl keeps one in each handle */

/* --- the request --- */

static bool is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = s[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr("!#$%&'*+-.^_`|~", c))))
            return false;
    }
    return n > 0;
}

static bool is_field_value(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
            return false;
    return true;
}

static int add_header(struct transfer *t, const char *line, struct err *e)
{
    struct curl_slist *list = curl_slist_append(t->headers, line);

    if (!list)
        return err_set(e, ERR_LOCAL, "out of memory");
    t->headers = list;
    return 0;
}

/* libcurl frames the message and names the host; we say who we are. */
static bool is_ours(const char *line, size_t name_len)
{
    static const char *const names[] = {
        "Host",    "Content-Length", "Transfer-Encoding", "Connection",
        "Expect",  "User-Agent",     "Upgrade",           "TE",
        "Trailer",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i]) == name_len && strncasecmp(line, names[i], name_len) == 0)
            return true;
    return false;
}

static int copy_header(struct transfer *t, const char *line, struct err *e)
{
    size_t name = strcspn(line, ":");

    if (line[name] != ':' || !is_token(line, name) || !is_field_value(line + name))
        return err_set(e, ERR_CONFIG, "a header of the request is malformed");
    if (is_ours(line, name))
        return err_set(e, ERR_CONFIG, "header %.*s is not the caller's to set", (int)name, line);
    if (line[name + 1 + strspn(line + name + 1, " \t")])
        return add_header(t, line, e);
    /* Empty: libcurl wants to be told so. */
    char *empty = xasprintf("%.*s;", (int)name, line);
    int r = add_header(t, empty, e);
    free(empty);
    return r;
}

static int copy_headers(struct transfer *t, const struct http_request *r, struct err *e)
{
    bool type = false;

    for (const char *const *h = r->headers; h && *h; h++) {
        if (copy_header(t, *h, e))
            return -1;
        type = type || strncasecmp(*h, "Content-Type:", 13) == 0;
    }
    if (add_header(t, "Expect:", e))
        return -1;
    return t->has_body && !type ? add_header(t, "Content-Type:", e) : 0;
}

static int read_host(struct transfer *t, CURLU *u, struct err *e)
{
    char *host = NULL, *port = NULL;
    int64_t number = 0;

    if (curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK)
        str_copy(t->host, sizeof t->host, host);
    if (curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
        str_to_i64(port, 1, UINT16_MAX, &number);
    curl_free(host);
    curl_free(port);
    str_lower(t->host);
    t->port = (uint16_t)number;
    if (!t->host[0] || !number || str_ends(t->host, ".") || strpbrk(t->host, "%,"))
        return err_set(e, ERR_CONFIG, "the URL names no host that can be asked");
    return 0;
}

static int read_url(struct transfer *t, CURLU *u, const char *url, struct err *e)
{
    char *scheme = NULL, *user = NULL, *zone = NULL;
    int r = 0;

    if (curl_url_set(u, CURLUPART_URL, url, CURLU_PATH_AS_IS) != CURLUE_OK)
        return err_set(e, ERR_CONFIG, "the URL is malformed");
    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(u, CURLUPART_USER, &user, 0);
    curl_url_get(u, CURLUPART_ZONEID, &zone, 0);
    if (!str_eq(scheme, "https") && !(t->allow_http && str_eq(scheme, "http")))
        r = err_set(e, ERR_CONFIG, "the URL begins with %.16s://; only https%s is allowed",
                    scheme ? scheme : "?", t->allow_http ? " or http" : "");
    else if (user || zone)
        r = err_set(e, ERR_CONFIG, "the URL holds a %s", user ? "user name" : "zone of an address");
    curl_free(scheme);
    curl_free(user);
    curl_free(zone);
    return r ? r : read_host(t, u, e);
}

static bool is_known(struct transfer *t, const struct transfer_origin *known, const char *url)
{
    size_t n = strlen(known->text);

    if (n == 0 || strncmp(url, known->text, n) != 0 || url[n] != '/')
        return false;
    str_copy(t->host, sizeof t->host, known->host);
    t->port = known->port;
    return true;
}

/* All before the path, which is where the host's name ends. */
static void remember(const struct transfer *t, struct transfer_origin *known, const char *url)
{
    const char *slashes = strstr(url, "://");
    size_t n = slashes ? (size_t)(slashes + 3 - url) + strcspn(slashes + 3, "/?#\\") : 0;

    if (url[n] != '/' || n >= sizeof known->text)
        return;
    memcpy(known->text, url, n);
    known->text[n] = '\0';
    str_copy(known->host, sizeof known->host, t->host);
    known->port = t->port;
}

static int check_url(struct transfer *t, struct transfer_origin *known, const char *url,
                     struct err *e)
{
    if (strlen(url) > URL_MAX)
        return err_set(e, ERR_CONFIG, "the URL is over %d bytes", URL_MAX);
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return err_set(e, ERR_CONFIG, "the URL holds bytes that no URL may hold");
    if (is_known(t, known, url))
        return 0;
    CURLU *u = curl_url();
    if (!u)
        return err_set(e, ERR_LOCAL, "out of memory");
    int r = read_url(t, u, url, e);
    curl_url_cleanup(u);
    if (r == 0)
        remember(t, known, url);
    return r;
}

static int set_place(struct transfer *t, const struct dns_addr *at, struct err *e)
{
    const struct sockaddr_in *in =
        (const void *)&at->sa; /* the port is at the same place in IPv6 */
    struct dns_addr host = *at;
    char text[64], to[96];

    ((struct sockaddr_in *)&host.sa)->sin_port = 0;
    dns_addr_text(&host, text, sizeof text);
    snprintf(to, sizeof to, host.sa.ss_family == AF_INET6 ? "::[%s]:%u" : "::%s:%u", text,
             ntohs(in->sin_port));
    t->connect_to = curl_slist_append(NULL, to);
    return t->connect_to ? 0 : err_set(e, ERR_LOCAL, "out of memory");
}

int transfer_init(struct transfer *t, const struct http_site_spec *site,
                  struct transfer_origin *known, const struct http_request *r, struct err *e)
{
    static const char *const with_body[] = {"POST", "PUT", "PATCH"};

    t->http2 = site->http2;
    t->allow_http = site->allow_http;
    t->no_verify = site->no_verify;
    buf_init_secret(&t->body, r->body_len);
    if (site->http2)
        buf_init(&t->reply, r->max_body);
    else
        buf_init_secret(&t->reply, r->max_body);
    buf_init_secret(&t->fields, TRANSFER_FIELDS_SIZE);
    if (!is_token(r->method, strlen(r->method)) ||
        !str_copy(t->method, sizeof t->method, r->method))
        return err_set(e, ERR_CONFIG, "the request's method is malformed");
    t->has_body = r->body != NULL;
    t->once = r->once;
    for (size_t i = 0; i < ARRAY_LEN(with_body); i++)
        t->has_body = t->has_body || str_eq(t->method, with_body[i]);
    if (check_url(t, known, r->url, e) || copy_headers(t, r, e))
        return -1;
    t->url = xstrdup(r->url);
    if (r->at && set_place(t, r->at, e))
        return -1;
    return r->body ? buf_put(&t->body, r->body, r->body_len) : 0;
}

static void slist_wipe(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l; l = l->next)
        secret_wipe(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

void transfer_done(struct transfer *t)
{
    slist_wipe(t->headers);
    curl_slist_free_all(t->resolve);
    curl_slist_free_all(t->connect_to);
    if (t->url)
        secret_wipe(t->url, strlen(t->url));
    free(t->url);
    buf_free(&t->body);
    buf_free(&t->reply);
    buf_free(&t->fields);
    *t = (struct transfer){0};
}

void transfer_set_addresses(struct transfer *t, const struct dns_addr *addrs, size_t n)
{
    struct buf line;

    buf_init(&line, 8192);
    buf_putf(&line, "%s:%u:", t->host, t->port);
    for (size_t i = 0; i < n; i++) {
        char text[64];
        struct dns_addr a = addrs[i];

        ((struct sockaddr_in *)&a.sa)->sin_port = 0; /* at the same place in IPv6 */
        dns_addr_text(&a, text, sizeof text);
        buf_putf(&line, a.sa.ss_family == AF_INET6 ? "%s[%s]" : "%s%s", i ? "," : "", text);
    }
    curl_slist_free_all(t->resolve);
    t->resolve = curl_slist_append(NULL, buf_str(&line));
    buf_free(&line);
}

/* --- libcurl's callbacks --- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;

    if (buf_put(&t->reply, p, size * n) == 0)
        return size * n;
    t->too_large = true;
    return 0;
}

/* Without a way back to the beginning, which is what keeps libcurl from sending it again. */
static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t rest = t->body.len - t->body_read, some = size * n < rest ? size * n : rest;

    memcpy(p, buf_str(&t->body) + t->body_read, some);
    t->body_read += some;
    return some;
}

/* Obsolete folding (RFC 9112 5.2): the line goes on with the last value. */
static int unfold(struct transfer *t, const char *p, size_t n)
{
    if (!t->n_fields)
        return -1;
    t->fields.len--;
    buf_putc(&t->fields, ' ');
    return buf_put(&t->fields, p, n) || buf_putc(&t->fields, '\0');
}

static int add_field(struct transfer *t, const char *p, size_t n)
{
    const char *colon = memchr(p, ':', n);

    if (!colon || !is_token(p, (size_t)(colon - p)) || t->n_fields == TRANSFER_FIELDS_MAX)
        return -1;
    t->field_at[t->n_fields++] = (uint32_t)t->fields.len;
    buf_put(&t->fields, p, (size_t)(colon - p));
    buf_putc(&t->fields, '\0');
    n -= (size_t)(colon + 1 - p);
    p = colon + 1;
    while (n && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    return buf_put(&t->fields, p, n) || buf_putc(&t->fields, '\0');
}

/* "HTTP/2 200 " or "HTTP/1.1 200 OK": 1xx heads are followed by another. */
static void begin_head(struct transfer *t)
{
    t->n_fields = 0;
    buf_reset(&t->fields);
}

static size_t on_field(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * n;
    int bad = 0;

    if (t->fields_done)
        return len;
    while (len && strchr("\r\n \t", p[len - 1]) && p[len - 1])
        len--;
    if (len >= 5 && memcmp(p, "HTTP/", 5) == 0) {
        const char *space = memchr(p, ' ', len);

        begin_head(t);
        t->fields_done = false;
        t->head_is_final = !(space && space + 1 < p + len && space[1] == '1');
    } else if (len == 0) {
        t->fields_done = t->head_is_final;
    } else if (memchr(p, '\0', len)) {
        bad = -1;
    } else if (p[0] == ' ' || p[0] == '\t') {
        bad = unfold(t, p + strspn(p, " \t"), len - strspn(p, " \t"));
    } else {
        bad = add_field(t, p, len);
    }
    if (!bad)
        return size * n;
    t->bad_fields = true;
    return 0;
}

/* The last word on the egress rule: what a connection really goes to. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = arg;

    if (purpose != CURLSOCKTYPE_IPCXN ||
        (t->check_address && egress_is_inside((const struct sockaddr *)&a->addr))) {
        t->refused_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
}

/* --- the handle --- */

void transfer_default_roots(CURL *easy)
{
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

    /* Debian sets both. With the folder libcurl does not keep the parsed file: 30 ms a connection.
     */
    if (v->age >= CURLVERSION_SEVENTH && v->cainfo && access(v->cainfo, R_OK) == 0)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

static void setup_tls(const struct transfer *t, CURL *easy, const char *ca_pem)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     (long)(t->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    if (t->http2)
        curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    if (t->no_verify) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (ca_pem) {
        struct curl_blob blob = {
            .data = (void *)ca_pem, .len = strlen(ca_pem), .flags = CURL_BLOB_NOCOPY};

        curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    } else {
        transfer_default_roots(easy);
    }
}

static void setup_method(struct transfer *t, CURL *easy)
{
    if (t->has_body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        if (t->once) {
            t->body_read = 0;
            curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
            curl_easy_setopt(easy, CURLOPT_READDATA, t);
        } else {
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buf_str(&t->body));
        }
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body.len);
    } else if (str_eq(t->method, "HEAD")) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    if (!str_eq(t->method, t->has_body ? "POST" : "GET"))
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, t->method);
}

void transfer_setup(struct transfer *t, CURL *easy, const char *ca_pem, const char *user_agent,
                    int64_t connect_ms)
{
    buf_reset(&t->reply);
    begin_head(t);
    t->fields_done = t->bad_fields = t->too_large = t->refused_address = false;
    t->error[0] = '\0';

    /* No CURLOPT_BUFFERSIZE: less than its default makes libcurl 7.88 write over its heap (HTTP/2).
     */
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
    curl_easy_setopt(easy, CURLOPT_URL, t->url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, t->allow_http ? "http,https" : "https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(easy, CURLOPT_RESOLVE, t->resolve);
    if (t->connect_to) {
        curl_easy_setopt(easy, CURLOPT_CONNECT_TO, t->connect_to);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
    setup_tls(t, easy, ca_pem);
    setup_method(t, easy);
}

/* --- the result --- */

static const struct {
    CURLcode code;
    enum err_class cls;
    const char *what;
} results[] = {
    {CURLE_COULDNT_CONNECT, ERR_TRANSIENT, "cannot connect"},
    {CURLE_OPERATION_TIMEDOUT, ERR_TRANSIENT, "time is up"},
    {CURLE_SSL_CONNECT_ERROR, ERR_TRANSIENT, "the TLS handshake failed"},
    {CURLE_PEER_FAILED_VERIFICATION, ERR_PEER,
     "the server's certificate is not trusted (a private CA: set ca_file)"},
    {CURLE_SSL_CACERT_BADFILE, ERR_CONFIG, "the trusted roots cannot be read"},
    {CURLE_UNSUPPORTED_PROTOCOL, ERR_PEER, "the reply is no valid HTTP"},
    {CURLE_WEIRD_SERVER_REPLY, ERR_PEER, "the reply is no valid HTTP"},
    {CURLE_GOT_NOTHING, ERR_TRANSIENT, "the server closed the connection without a reply"},
    {CURLE_PARTIAL_FILE, ERR_TRANSIENT, "the reply was cut short"},
    {CURLE_SEND_FAIL_REWIND, ERR_TRANSIENT, "the connection ended without a reply"},
    {CURLE_SEND_ERROR, ERR_TRANSIENT, "the connection broke while sending"},
    {CURLE_RECV_ERROR, ERR_TRANSIENT, "the connection broke while receiving"},
    {CURLE_OUT_OF_MEMORY, ERR_LOCAL, "out of memory"},
};

int transfer_result(const struct transfer *t, CURLcode result, struct err *e)
{
    const char *what = curl_easy_strerror(result);
    enum err_class cls = ERR_TRANSIENT;

    if (result == CURLE_OK)
        return 0;
    if (t->too_large)
        return err_set(e, ERR_PEER, "%s: the reply is over %zu bytes", t->host, t->reply.max);
    if (t->bad_fields)
        return err_set(e, ERR_PEER,
                       "%s: the reply's header is malformed, over %d fields or over %u bytes",
                       t->host, TRANSFER_FIELDS_MAX, TRANSFER_FIELDS_SIZE);
    if (t->refused_address)
        return err_set(e, ERR_CONFIG,
                       "%s: the address is not a public one; only a host that an option names "
                       "may have such",
                       t->host);
    for (size_t i = 0; i < ARRAY_LEN(results); i++) {
        if (results[i].code == result) {
            what = results[i].what;
            cls = results[i].cls;
        }
    }
    err_set(e, cls, "%s: %s%s%.200s", t->host, what, t->error[0] ? ": " : "", t->error);
    if (e && cls == ERR_TRANSIENT)
        str_copy(e->type, sizeof e->type, HTTP_UNREACHABLE);
    return -1;
}

void transfer_reply(const struct transfer *t, int status, struct http_header *room,
                    struct http_reply *ret)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        room[i].name = t->fields.data + t->field_at[i];
        room[i].value = room[i].name + strlen(room[i].name) + 1;
    }
    *ret = (struct http_reply){.status = status,
                               .body = buf_str(&t->reply),
                               .body_len = t->reply.len,
                               .headers = room,
                               .n_headers = t->n_fields};
}
