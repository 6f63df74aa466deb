#include "net/graveyard.h"

#include <stddef.h>

void graveyard_bury(struct graveyard *graveyard, struct grave *grave, void (*free)(struct grave *grave))
{
    grave->free = free;
    grave->next = graveyard->first;
    graveyard->first = grave;
}

void graveyard_sweep(struct graveyard *graveyard)
{
    while (graveyard->first) {
        struct grave *grave = graveyard->first;
        graveyard->first = grave->next;
        grave->free(grave);
    }
}
