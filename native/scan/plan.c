#include "plan.h"

#include <stdlib.h>

dl_plan *dl_plan_new(void) { return calloc(1, sizeof(dl_plan)); }

static void free_nodes(dl_nodes *nodes);

static void free_list(dl_node *list, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)list[i].creator);
        if (list[i].children) free_nodes(list[i].children);
        free(list[i].children);
    }
    free(list);
}

/* Recursion here is as deep as the longest wanted path, at most DL_PATH_STEPS. */
static void free_nodes(dl_nodes *nodes) {
    free_list(nodes->standard, nodes->standard_count);
    free_list(nodes->private, nodes->private_count);
}

void dl_plan_free(dl_plan *plan) {
    if (!plan) return;
    free_nodes(&plan->meta);
    free_nodes(&plan->data_set);
    free(plan->types);
    free(plan);
}

size_t dl_plan_columns(const dl_plan *plan) { return plan->columns; }

dl_column_type dl_plan_column_type(const dl_plan *plan, size_t column) {
    return plan->types[column];
}

static bool same_element(const dl_node *node, const dl_step *step) {
    if (node->tag != step->tag || (node->creator != NULL) != (step->creator != NULL)) return false;
    return !node->creator || strcmp(node->creator, step->creator) == 0;
}

static dl_node *insert(dl_plan *plan, dl_nodes *nodes, const dl_step *step) {
    dl_node **list = step->creator ? &nodes->private : &nodes->standard;
    uint32_t *count = step->creator ? &nodes->private_count : &nodes->standard_count;
    dl_node *grown = realloc(*list, (*count + 1) * sizeof **list);
    if (!grown) return NULL;
    *list = grown;
    uint32_t at = *count;
    if (!step->creator)
        while (at > 0 && grown[at - 1].tag > step->tag) at--;
    char *creator = NULL;
    if (step->creator) {
        size_t size = strlen(step->creator) + 1;
        creator = malloc(size);
        if (!creator) return NULL;
        memcpy(creator, step->creator, size);
    }
    memmove(grown + at + 1, grown + at, (*count - at) * sizeof *grown);
    dl_vr vr = step->vr != DL_VR_NONE ? step->vr
               : step->creator        ? DL_VR_UN
                                      : dl_dictionary_vr(step->tag);
    grown[at] = (dl_node){
        .tag = step->tag, .creator = creator, .id = plan->nodes++, .vr = vr, .item = step->item};
    (*count)++;
    /* A private element stands in a block (gggg,bbee) that only the file tells. */
    uint32_t reach = step->creator ? (step->tag | 0xFFFF) : step->tag;
    if (reach > nodes->last) nodes->last = reach;
    return &grown[at];
}

/* The node that a sequence step enters, shared by all paths that enter the same items. */
static dl_node *find_sequence(dl_nodes *nodes, const dl_step *step) {
    dl_node *list = step->creator ? nodes->private : nodes->standard;
    uint32_t count = step->creator ? nodes->private_count : nodes->standard_count;
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].children && list[i].item == step->item && same_element(&list[i], step))
            return &list[i];
    }
    return NULL;
}

static bool depends_on_sign(const dl_step *leaf) {
    dl_vr vr = leaf->creator ? DL_VR_UN : dl_dictionary_vr(leaf->tag);
    return vr == DL_VR_US_OR_SS || vr == DL_VR_US_OR_SS_OR_OW;
}

/* A value at or below `tag` needs Pixel Representation, which is read even if nothing behind is. */
static void note_sign(dl_nodes *nodes, uint32_t tag) {
    nodes->pixel_representation = true;
    if (tag > DL_TAG_PIXEL_REPRESENTATION) return;
    nodes->signed_before = true;
    if (nodes->last < DL_TAG_PIXEL_REPRESENTATION) nodes->last = DL_TAG_PIXEL_REPRESENTATION;
}

dl_status dl_plan_add(dl_plan *plan, const dl_step *steps, size_t count, dl_column_type type,
                      dl_error *error) {
    if (count == 0 || count > DL_PATH_STEPS)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "a path has 1 to %d steps, not %zu",
                       DL_PATH_STEPS, count);
    dl_column_type *types = realloc(plan->types, (plan->columns + 1) * sizeof *types);
    if (!types) return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
    plan->types = types;

    dl_nodes *nodes = DL_TAG_GROUP(steps[0].tag) == 0x0002 ? &plan->meta : &plan->data_set;
    bool joins = false, is_signed = depends_on_sign(&steps[count - 1]);
    for (size_t i = 0; i + 1 < count; i++) {
        joins = joins || steps[i].item == DL_ITEM_ALL;
        if (is_signed) note_sign(nodes, steps[i].tag);
        dl_node *node = find_sequence(nodes, &steps[i]);
        if (!node) {
            node = insert(plan, nodes, &steps[i]);
            if (!node || !(node->children = calloc(1, sizeof *node->children)))
                return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
        }
        nodes = node->children;
    }
    if (is_signed) note_sign(nodes, steps[count - 1].tag);
    dl_step leaf = steps[count - 1];
    leaf.item = DL_ITEM_NONE;
    dl_node *node = insert(plan, nodes, &leaf);
    if (!node) return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
    node->joins = joins;
    node->column = (uint32_t)plan->columns;
    plan->types[plan->columns++] = type;
    return DL_OK;
}
