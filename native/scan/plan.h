/* The wanted tags as a tree: what dl_plan_add builds and dl_read walks. */
#ifndef DICOMLOOM_SCAN_PLAN_H
#define DICOMLOOM_SCAN_PLAN_H

#include "dicomloom/scan.h"

typedef struct dl_nodes dl_nodes;

typedef struct dl_node {
    uint32_t tag;        /* private: (group, 00ee) */
    const char *creator; /* NULL: a standard element */
    uint32_t id;         /* among all nodes of the plan */
    dl_vr vr;            /* where the file does not say */
    int32_t item;        /* DL_ITEM_NONE: a value */
    bool joins;          /* under a [*]: values of several items are joined */
    uint32_t column;     /* of a value */
    dl_nodes *children;  /* of a sequence */
} dl_node;

/* The wanted elements of one data set or item. */
struct dl_nodes {
    dl_node *standard; /* by rising tag */
    uint32_t standard_count;
    dl_node *private; /* in the order they were added */
    uint32_t private_count;
    uint32_t last;             /* the highest wanted tag: reading stops there */
    bool pixel_representation; /* a VR here or in an item depends on (0028,0103) */
    bool signed_before;        /* ... and stands before it */
};

struct dl_plan {
    dl_nodes meta; /* group 0002 */
    dl_nodes data_set;
    dl_column_type *types;
    size_t columns;
    uint32_t nodes;
};

#endif
