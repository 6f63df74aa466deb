/* access_log: one line per exchange, when it is over. Worker's thread.
 *
 * The closed list of fields of the JSON form, in their order; those without a value are left out:
 *
 *   ts, event       "access"
 *   client          who it was, behind trusted proxies
 *   peer            who connected, where that is somebody else
 *   user            that BASIC_AUTH knew
 *   client_subject  of the verified certificate
 *   method, host, path (never the query; none of a refused target that is not a path), protocol ("HTTP/1.1", "HTTP/2.0")
 *   scheme          of the client's own connection: "https" or "http"
 *   status          499: the client left before an answer
 *   duration_ms     from the request's first byte to the end of the answer
 *   bytes_in, bytes_out     of the bodies; in tunnels of all that went through
 *   tls ("TLSv1.3"), tls_cipher, tls_resumed, alpn     of the connection to us
 *   upstream        the backend that was asked last
 *   upstream_reused, connect_ms     true on a connection that was there already; else how long one was waited for
 *   upstream_ms     from the connection to the head of the answer
 *   retries, request_id, trace_id
 *   aborted, failure        the answer was cut, or none came; why
 *   user_agent, referer (without userinfo, query and fragment)
 *
 * Nothing else of a request is ever written: no query, no Authorization, no Cookie, no userinfo. Strings are escaped and
 * cut at LIMIT_LOG_STRING_BYTES. `common` and `combined` are NCSA's lines, with client, user, path and referer as above. */
#ifndef EXCHANGE_ACCESS_LOG_H
#define EXCHANGE_ACCESS_LOG_H

struct exchange;

/* In the format that the exchange's configuration asks for; nothing where it is off. */
void access_log_write(const struct exchange *exchange);

#endif
