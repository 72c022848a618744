/* A hundred thousand nested sequences end in an error, on a stack of 128 KiB; what nests less than
 * the limit is read (P1). */
#include "nest.h"

enum { DEEP = 100000, MODALITY = 0x00080060, BEHIND = 0x00540011 };

typedef struct task {
    const dl_plan *plan;
    const writer *w;
    result r;
} task;

static void *run(void *argument) {
    task *t = argument;
    t->r = read_all(t->plan, t->w);
    return NULL;
}

static result read_on_small_stack(const dl_plan *plan, const writer *w) {
    task t = {.plan = plan, .w = w};
    run_on_small_stack(run, &t);
    return t.r;
}

static dl_plan *plan_over(int variant) {
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(MODALITY));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(BEHIND));
    dl_step steps[DL_PATH_STEPS];
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        steps[i] = (dl_step)IN_SEQ(SEQUENCE, variant == 2 ? DL_ITEM_ALL : 0);
    steps[DL_PATH_STEPS - 1] = (dl_step)AT_TAG(MODALITY);
    if (variant > 0) want_path(plan, DL_COLUMN_TEXT, steps, DL_PATH_STEPS);
    if (variant == 3) WANT(plan, DL_COLUMN_TEXT, AT_TAG(SEQUENCE));
    return plan;
}

static void a_deep_nest(dl_syntax syntax, kind how, int variant) {
    writer w = {.syntax = syntax};
    put_part10(&w, uid_of(syntax));
    put_text(&w, MODALITY, "CS", "MR");
    put_nest(&w, how, DEEP);
    put_us(&w, BEHIND, "US", 7);
    dl_plan *plan = plan_over(variant);
    result r = read_on_small_stack(plan, &w);
    CHECK_TEXT(r, 0, "MR");
    if (how == DEFINED || (how == UNDEFINED_ITEMS && variant == 0)) {
        CHECK_CASE(r.status == DL_OK, "%s", r.error.message); /* hopped over by its length */
        CHECK_TEXT(r, 1, "7");
    } else if (how != UNDEFINED_ITEMS) {
        CHECK_CASE(r.status == DL_ERR_LIMIT && r.error.offset > 0 && r.error.tag == SEQUENCE, "%s",
                   r.error.message);
    }
    result_free(&r);
    dl_plan_free(plan);
    writer_free(&w);
}

/* The limit counts sequences (scan.h), however their items are written. */
static void the_limit_is_what_it_says(dl_syntax syntax, kind how) {
    static const int depths[] = {1, 2, 8, 31, 32, 33, 40, 60, 63, 64, 65, 66, 80, 200};
    for (size_t i = 0; i < COUNT_OF(depths); i++) {
        writer w = {.syntax = syntax};
        put_part10(&w, uid_of(syntax));
        put_text(&w, MODALITY, "CS", "MR");
        put_nest(&w, how, depths[i]);
        put_us(&w, BEHIND, "US", 7);
        dl_plan *plan = plan_over(0);
        result r = read_all(plan, &w);
        bool good = depths[i] <= DL_DEFAULT_DEPTH || how == DEFINED || how == UNDEFINED_ITEMS;
        CHECK_CASE(r.status == (good ? DL_OK : DL_ERR_LIMIT), "%d deep, kind %d: %s", depths[i],
                   (int)how, r.error.message);
        if (good) CHECK_TEXT(r, 1, "7");
        result_free(&r);
        dl_plan_free(plan);
        writer_free(&w);
    }
}

int main(void) {
    static const dl_syntax syntaxes[] = {{true, false}, {false, false}, {true, true}};
    for (size_t s = 0; s < COUNT_OF(syntaxes); s++)
        for (int how = 0; how < KINDS; how++)
            for (int variant = 0; variant < 4; variant++)
                a_deep_nest(syntaxes[s], (kind)how, variant);
    for (size_t s = 0; s < COUNT_OF(syntaxes); s++)
        for (int how = 0; how < KINDS; how++) the_limit_is_what_it_says(syntaxes[s], (kind)how);
    return 0;
}
