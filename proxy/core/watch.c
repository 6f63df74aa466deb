#include "core/watch.h"

#include "base/mem.h"

/* One file or directory; freed in its close callback. */
struct watch_place {
    uv_fs_event_t handle;
    struct list node; /* in watch->places */
    struct watch *watch;
    char *path;
};

struct watch {
    struct watch_options options;
    struct list places;
    size_t num_places;
    size_t num_handles; /* those that are closing too */
    struct tick gather, poll;
    uint64_t first_ms; /* of what is being gathered */
    bool closing, refused_said;
    struct grave grave;
};

static void watch_free(struct grave *grave)
{
    mem_free(container_of(grave, struct watch, grave));
}

/* ---- time ---- */

static void watch_gathered(struct tick *tick)
{
    struct watch *watch = container_of(tick, struct watch, gather);
    watch->options.stirred(watch->options.ctx, true);
}

static void watch_polls(struct tick *tick)
{
    struct watch *watch = container_of(tick, struct watch, poll);
    tick_start(&watch->options.loop->ticker, &watch->poll, watch->options.poll_ms);
    watch->options.stirred(watch->options.ctx, false);
}

/* A file that is written goes on being written for a moment: each word of the kernel waits for the next, but not for ever. */
static void watch_told(uv_fs_event_t *handle, const char *filename, int events, int status)
{
    struct watch *watch = container_of(handle, struct watch_place, handle)->watch;
    uint64_t now_ms = net_loop_now_ms(watch->options.loop);
    (void)filename, (void)events, (void)status;
    if (!tick_armed(&watch->gather))
        watch->first_ms = now_ms;
    else if (now_ms - watch->first_ms > WATCH_GATHER_MOST_MS)
        return;
    tick_start(&watch->options.loop->ticker, &watch->gather, WATCH_GATHER_MS);
}

/* ---- places ---- */

static void place_closed(uv_handle_t *handle)
{
    struct watch_place *place = container_of((uv_fs_event_t *)(void *)handle, struct watch_place, handle);
    struct watch *watch = place->watch;
    mem_free(place->path);
    mem_free(place);
    watch->num_handles--;
    if (watch->closing && watch->num_handles == 0)
        mem_free(watch);
}

static void place_close(struct watch_place *place)
{
    list_remove(&place->node);
    uv_close((uv_handle_t *)&place->handle, place_closed);
}

static void place_refused(struct watch *watch, const char *path, int status)
{
    if (status == UV_ENOENT || status == UV_ENOTDIR || watch->refused_said)
        return; /* what is not there yet is seen from its directory, or by the minute */
    watch->refused_said = true;
    LOG_WARN_EVENT(watch->options.log, "watch_refused", LOG_STR("path", path),
                   LOG_ERR("error", err_make(ERR_UV, status, "watch a file")),
                   LOG_STR("msg", "changes of files are seen within a minute, and at once on SIGHUP"));
}

static void place_open(struct watch *watch, const char *path)
{
    struct watch_place *place = MEM_NEW(struct watch_place);
    place->watch = watch;
    place->path = mem_strdup(path);
    list_append(&watch->places, &place->node);
    uv_fs_event_init(watch->options.loop->uv, &place->handle);
    watch->num_handles++;
    int status = uv_fs_event_start(&place->handle, watch_told, path, 0);
    if (status < 0)
        place_refused(watch, path, status);
}

static bool watch_has(const struct watch *watch, const char *path)
{
    for (const struct list *node = watch->places.next; node != &watch->places; node = node->next)
        if (strcmp(container_of(node, const struct watch_place, node)->path, path) == 0)
            return true;
    return false;
}

bool watch_set_places(struct watch *watch, char *const *places, size_t num_places)
{
    size_t num_before = watch->num_places;
    bool news = false;
    for (size_t i = 0; i < num_places; i++)
        news = news || !watch_has(watch, places[i]);
    for (size_t i = 0; i < num_places; i++)
        place_open(watch, places[i]); /* before the old ones are closed, so that no moment is missed */
    for (size_t i = 0; i < num_before; i++)
        place_close(container_of(list_first(&watch->places), struct watch_place, node));
    watch->num_places = num_places;
    if (num_places == 0)
        tick_stop(&watch->poll);
    else if (!tick_armed(&watch->poll))
        tick_start(&watch->options.loop->ticker, &watch->poll, watch->options.poll_ms);
    return news;
}

/* ---- life ---- */

struct watch *watch_new(const struct watch_options *options)
{
    struct watch *watch = MEM_NEW(struct watch);
    watch->options = *options;
    if (watch->options.poll_ms == 0)
        watch->options.poll_ms = WATCH_POLL_MS;
    list_init(&watch->places);
    tick_init(&watch->gather, watch_gathered);
    tick_init(&watch->poll, watch_polls);
    return watch;
}

void watch_close(struct watch *watch)
{
    if (!watch || watch->closing)
        return;
    watch->closing = true;
    tick_stop(&watch->gather);
    tick_stop(&watch->poll);
    LIST_EACH(&watch->places, node)
    place_close(container_of(node, struct watch_place, node));
    if (watch->num_handles == 0)
        graveyard_bury(&watch->options.loop->graveyard, &watch->grave, watch_free);
}
