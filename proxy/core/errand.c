#include "core/errand.h"

#include "certs/ca_transport.h"
#include "store/seal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { ERRAND_THREADS = 2, ERRAND_QUEUE = 256, ERRAND_TTL_MS = 30000 };

struct errand {
    uv_loop_t uv;
    struct net_loop *loop;
    const struct config *config;
    struct offload_pool *resolve_pool, *disk_pool;
    struct offload_port *port;
    struct resolver *resolver;
    struct dns *dns;
    struct store *store;
    struct ca_transport *ca;
};

static struct slice environment(const char *upper, const char *lower)
{
    const char *value = getenv(upper);
    return slice_str(value && *value ? value : getenv(lower));
}

static struct err errand_open_ca(struct errand *errand, const char *version, struct buf *out_mistake)
{
    size_t num_roots;
    struct https_proxy_options proxy = {.url = environment("HTTPS_PROXY", "https_proxy"),
                                        .no_proxy = environment("NO_PROXY", "no_proxy")};
    struct ca_transport_options options = {.loop = errand->loop,
                                           .resolver = errand->resolver,
                                           .extra_roots_pem = errand->config->acme.ca.text,
                                           .version = version,
                                           .proxy = &proxy};
    if (errand->config->acme.kind == CONFIG_DIRECTORY_INTERNAL)
        return ERR_OK;
    struct err err = ca_transport_new(&options, &errand->ca, &num_roots);
    if (err_is(err))
        buf_append_str(out_mistake,
                       "PORTICO_ACME_CA takes PEM certificates of the CA's roots, HTTPS_PROXY a plain http:// "
                       "address");
    return err;
}

static void errand_open_store(struct errand *errand)
{
    struct stat stat_of;
    const struct config *config = errand->config;
    struct store_dir_config options = {
        .path = config->storage.ptr, .loop = &errand->uv, .disk = errand->disk_pool, .port = errand->port};
    if (stat(config->storage.ptr, &stat_of) != 0 || !S_ISDIR(stat_of.st_mode))
        return;
    struct seal_config seal = {.inner = store_dir_new(&options), .secret = config->storage_key};
    errand->store = seal_new(&seal);
}

struct err errand_new(const struct config *config, const char *version, struct errand **out_errand,
                      struct buf *out_mistake)
{
    struct errand *errand = MEM_NEW(struct errand);
    signal(SIGPIPE, SIG_IGN);
    errand->config = config_ref(config);
    uv_loop_init(&errand->uv);
    errand->loop = net_loop_new(&errand->uv);
    errand->port = offload_port_new(&errand->uv);
    errand->resolve_pool = offload_pool_new("resolve", ERRAND_THREADS, 0, ERRAND_QUEUE);
    errand->disk_pool = offload_pool_new("disk", ERRAND_THREADS, 0, ERRAND_QUEUE);
    errand->resolver = resolver_new(errand->loop, errand->resolve_pool, errand->port, ERRAND_TTL_MS);
    struct dns_options dns = {.loop = errand->loop};
    errand->dns = dns_new(&dns);
    errand_open_store(errand);
    struct err err = errand_open_ca(errand, version, out_mistake);
    if (err_is(err)) {
        errand_free(errand);
        return err;
    }
    *out_errand = errand;
    return ERR_OK;
}

struct net_loop *errand_loop(struct errand *errand)
{
    return errand->loop;
}

struct dns *errand_dns(struct errand *errand)
{
    return errand->dns;
}

struct store *errand_store(struct errand *errand)
{
    return errand->store;
}

struct transport *errand_transport(struct errand *errand)
{
    return errand->ca ? ca_transport_base(errand->ca) : NULL;
}

void errand_run(struct errand *errand, const bool *done)
{
    while (!*done && uv_run(&errand->uv, UV_RUN_ONCE))
        continue;
}

/* Two turns: what is closed tells its owners, which close what they have. */
void errand_free(struct errand *errand)
{
    if (errand->store)
        errand->store->ops->free(errand->store);
    ca_transport_close(errand->ca);
    dns_free(errand->dns);
    resolver_free(errand->resolver);
    offload_port_close(errand->port);
    uv_run(&errand->uv, UV_RUN_DEFAULT);
    net_loop_close(errand->loop);
    uv_run(&errand->uv, UV_RUN_DEFAULT);
    uv_loop_close(&errand->uv);
    offload_pool_free(errand->resolve_pool);
    offload_pool_free(errand->disk_pool);
    config_unref(errand->config);
    mem_free(errand);
}
