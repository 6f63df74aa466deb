#include "acme/store.h"

const char *store_result_text(enum store_result result)
{
    switch (result) {
    case STORE_OK: return "ok";
    case STORE_NOT_FOUND: return "not found";
    case STORE_CONFLICT: return "written by someone else meanwhile";
    case STORE_FENCED: return "the right to write is held by another process";
    case STORE_UNKNOWN: return "no answer, outcome unknown";
    case STORE_UNAVAILABLE: return "unavailable";
    case STORE_DENIED: return "permission denied or read-only";
    case STORE_TOO_BIG: return "too big";
    case STORE_FULL: return "no space left";
    case STORE_CORRUPT: return "damaged";
    case STORE_WRONG_KEY: return "sealed with another key";
    }
    return "unknown";
}

const char *store_result_cure(enum store_result result)
{
    switch (result) {
    case STORE_CORRUPT: return "; restore it from a backup, or remove it to begin anew";
    case STORE_FULL: return "; make room in the storage";
    case STORE_WRONG_KEY: return "; give the key that it was sealed with";
    case STORE_OK:
    case STORE_NOT_FOUND:
    case STORE_CONFLICT:
    case STORE_FENCED:
    case STORE_UNKNOWN:
    case STORE_UNAVAILABLE:
    case STORE_DENIED:
    case STORE_TOO_BIG: break;
    }
    return "";
}
