#include "store/store_peek.h"

#include "base/limits.h"
#include "store/dir_io.h"
#include "store/sealed_value.h"
#include "store/store_key.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum store_result unseal(struct slice key, struct slice secret, struct slice value, struct buf *out)
{
    struct seal_key seal;
    if (secret.len == 0)
        return sealed_value_open(NULL, key, value, out);
    seal_key_make(secret, &seal);
    enum store_result result = sealed_value_open(&seal, key, value, out);
    seal_key_wipe(&seal);
    return result;
}

static enum store_result value_read(const struct dir_io *io, struct slice key, struct slice secret, struct buf *out)
{
    struct buf value = {0};
    struct store_path path = store_key_path(key);
    struct err err = dir_io_read(io, path.text, LIMIT_STORE_VALUE_BYTES, &value);
    enum store_result result = STORE_OK;
    if (err_is(err))
        result = err.code == ENOENT ? STORE_NOT_FOUND : STORE_UNAVAILABLE;
    else if (sealed_value_is(buf_slice(&value)))
        result = unseal(key, secret, buf_slice(&value), out);
    else
        buf_append_slice(out, buf_slice(&value));
    buf_cleanup_secret(&value);
    errno = err_is(err) ? err.code : 0;
    return result;
}

enum store_result store_peek(const char *dir, struct slice key, struct slice secret, struct buf *out)
{
    struct dir_io io = {.root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (io.root_fd < 0)
        return errno == ENOENT ? STORE_NOT_FOUND : STORE_UNAVAILABLE;
    enum store_result result = value_read(&io, key, secret, out);
    int saved = errno;
    close(io.root_fd);
    errno = saved;
    return result;
}
