/* A hundred thousand nested sequences end in an error, on a stack of 128 KiB, when they are listed,
 * looked into or recoded; what nests less than the limit comes through (P1). */
#include "listing.h"
#include "nest.h"

enum { DEEP = 100000 };

static const dl_syntax SYNTAXES[] = {{true, false}, {false, false}, {true, true}};

typedef struct task {
    const writer *w;
    bool to_explicit;
    listing listed, items, recoded;
} task;

static void *run(void *argument) {
    task *t = argument;
    t->listed = list_all(t->w);
    dl_entry nest = {.value = t->w->syntax.explicit_vr ? 12 : 8, .tag = SEQUENCE, .vr = DL_VR_SQ};
    nest.length = t->w->bytes.length - nest.value;
    t->items = list_items(t->w->bytes.data, t->w->bytes.length, &nest, t->w->syntax);
    t->recoded = recode_all(t->w, t->to_explicit);
    return NULL;
}

static task a_nest(dl_syntax syntax, kind how, int depth, bool to_explicit) {
    writer w = {.syntax = syntax};
    put_nest(&w, how, depth);
    put_us(&w, 0x00540011, "US", 7);
    task t = {.w = &w, .to_explicit = to_explicit};
    run_on_small_stack(run, &t);
    if (t.recoded.status == DL_OK) { /* it is as deep as before */
        dl_syntax to = {to_explicit, false};
        listing again =
            recode_bytes(t.recoded.recoded.data, t.recoded.recoded.length, to, to_explicit);
        CHECK(again.status == DL_OK);
        CHECK(bytes_equal(&again.recoded, (const char *)t.recoded.recoded.data,
                          t.recoded.recoded.length));
        listing_free(&again);
    }
    writer_free(&w);
    return t;
}

static void task_free(task *t) {
    listing_free(&t->listed);
    listing_free(&t->items);
    listing_free(&t->recoded);
}

int main(void) {
    static const int depths[] = {1, 2, 31, 32, 33, 63, 64, 65, 66, 200, DEEP};
    for (size_t s = 0; s < COUNT_OF(SYNTAXES); s++) {
        for (int how = 0; how < KINDS; how++) {
            for (size_t i = 0; i < COUNT_OF(depths); i++) {
                task t = a_nest(SYNTAXES[s], (kind)how, depths[i], (s + i) & 1);
                bool hopped = how == DEFINED || how == UNDEFINED_ITEMS;
                bool good = depths[i] <= DL_LIST_DEPTH;
                CHECK_CASE(t.listed.status == (good || hopped ? DL_OK : DL_ERR_LIMIT), "%d: %s",
                           depths[i], t.listed.error.message);
                CHECK(t.listed.status == DL_OK || t.listed.error.tag == SEQUENCE);
                if (t.listed.status == DL_OK) CHECK(entry_count(&t.listed) == 2);
                CHECK_CASE(t.recoded.status == (good ? DL_OK : DL_ERR_LIMIT), "%d, kind %d: %s",
                           depths[i], how, t.recoded.error.message);
                CHECK(good || t.recoded.error.tag == SEQUENCE);
                CHECK(t.items.status == DL_OK || (!good && t.items.status == DL_ERR_LIMIT));
                task_free(&t);
            }
        }
    }
    return 0;
}
