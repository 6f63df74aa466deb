#include "http/cert_fields.h"

bool cert_fields_has(const struct field *field)
{
    static const struct slice prefix = {"x-ssl-client", 12};
    struct slice name = field->name;
    if (field->id != FIELD_OTHER)
        return false;
    return slice_ieq(slice_first(name, prefix.len), prefix) || slice_ieq(name, SLICE_LIT("client-cert")) ||
           slice_ieq(name, SLICE_LIT("client-cert-chain"));
}

static void put(struct fields *out, struct arena *arena, struct slice name, struct slice value)
{
    if (value.len)
        fields_put(out, arena, (struct field){name, value, FIELD_OTHER});
}

void cert_fields_put(const struct cert_fields *cert, struct fields *out, struct arena *arena)
{
    put(out, arena, SLICE_LIT("X-SSL-Client-Verify"), cert->verified ? SLICE_LIT("SUCCESS") : SLICE_LIT("NONE"));
    put(out, arena, SLICE_LIT("X-SSL-Client-S-DN"), cert->subject);
    put(out, arena, SLICE_LIT("X-SSL-Client-Fingerprint"), cert->fingerprint);
    put(out, arena, SLICE_LIT("Client-Cert"), cert->client_cert);
}
