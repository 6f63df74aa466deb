#include "store/store_key.h"

#define MARKER_NAME "portico-store"

enum { STAR = '*', STAR_IN_FILES = '@' };

static bool key_char_valid(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == ':' ||
           c == STAR;
}

static bool key_part_valid(struct slice part)
{
    if (part.len == 0 || part.len > STORE_KEY_PART_BYTES || part.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < part.len; i++)
        if (!key_char_valid(part.ptr[i]))
            return false;
    return true;
}

bool store_key_valid(struct slice key)
{
    size_t num_parts = 0;
    if (key.len == 0 || key.len >= STORE_PATH_BYTES || key.ptr[key.len - 1] == '/' ||
        slice_eq(key, SLICE_LIT(MARKER_NAME)))
        return false;
    for (struct slice rest = key; rest.len;)
        if (!key_part_valid(slice_split(&rest, '/')) || ++num_parts > STORE_KEY_PARTS)
            return false;
    return true;
}

bool store_key_writable(struct slice key)
{
    bool kept = slice_starts(key, SLICE_LIT("previous/")) || slice_eq(key, SLICE_LIT("previous"));
    return store_key_valid(key) && (!kept || slice_starts(key, SLICE_LIT("previous/certificate/")));
}

struct store_path store_key_path(struct slice key)
{
    struct store_path path = {0};
    size_t len = key.len < STORE_PATH_BYTES ? key.len : STORE_PATH_BYTES - 1;
    for (size_t i = 0; i < len; i++)
        path.text[i] = key.ptr[i] == STAR ? (char)STAR_IN_FILES : key.ptr[i];
    return path;
}

bool store_key_of_path(const char *path, char out[STORE_PATH_BYTES])
{
    size_t len = strlen(path);
    if (len >= STORE_PATH_BYTES || memchr(path, STAR, len)) // NOLINT(bugprone-not-null-terminated-result)
        return false;
    for (size_t i = 0; i <= len; i++) /* the NUL too */
        out[i] = path[i] == STAR_IN_FILES ? (char)STAR : path[i];
    return store_key_valid(slice_make(out, len));
}

struct store_path store_path_dir(const char *path)
{
    struct store_path dir = {"."};
    const char *slash = strrchr(path, '/');
    if (slash && (size_t)(slash - path) < STORE_PATH_BYTES) {
        memcpy(dir.text, path, (size_t)(slash - path));
        dir.text[slash - path] = '\0';
    }
    return dir;
}
