/* What nobody looks at: sequences and items are hopped over, or walked to their delimiters. */
#include "dicomloom/dicom.h"

typedef struct frame {
    dl_inside kind;
    dl_syntax syntax;
} frame;

/* As deep as the input goes: how deep it may go can be any number. */
static dl_status push(dl_bytes *stack, uint32_t *depth, frame made, dl_error *error) {
    stack->length = *depth * sizeof made;
    if (dl_bytes_append(stack, &made, sizeof made) != DL_OK)
        return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
    ++*depth;
    return DL_OK;
}

dl_status dl_skip(const dl_skipper *by, dl_inside what, uint32_t tag, uint64_t offset,
                  uint64_t limit, dl_syntax syntax, dl_skipped *skipped, dl_error *error) {
    dl_bytes *stack = by->frames;
    dl_window *window = by->window;
    uint32_t depth = 0, sequences = what == DL_IN_SEQUENCE, deepest = by->depth;
    uint64_t items = 0, content = offset;
    dl_status status = push(stack, &depth, (frame){what, syntax}, error);
    if (status != DL_OK) return status;
    while (depth > 0) {
        const frame top = ((const frame *)(const void *)stack->data)[depth - 1];
        dl_element element;
        bool found;
        status = dl_element_read(window, offset, limit, top.syntax, &element, &found, error);
        if (status == DL_ERR_TRUNCATED && limit != DL_NO_END && limit - offset < 12)
            found = false, offset = limit; /* less than a header is left of the parent */
        else if (status == DL_ERR_TRUNCATED)
            return dl_window_truncated(window, tag, error);
        else if (status != DL_OK)
            return status;
        if (!found) {
            if (offset < limit) return dl_window_truncated(window, tag, error);
            *skipped = (dl_skipped){limit, limit, items};
            return DL_OK;
        }
        content = offset;
        uint64_t next = element.value + element.length;
        bool undefined = element.length == DL_UNDEFINED_LENGTH;
        if (top.kind == DL_IN_SEQUENCE) {
            if (element.tag == DL_TAG_ITEM) {
                if (depth == 1) items++;
                if (undefined) {
                    frame item = {DL_IN_ITEM, top.syntax};
                    status = dl_detect_syntax(window, element.value, &item.syntax, error);
                    if (status == DL_OK) status = push(stack, &depth, item, error);
                    if (status != DL_OK) return status;
                    next = element.value;
                }
            } else if (element.tag == DL_TAG_SEQUENCE_END) {
                depth--;
                sequences--;
                next = element.value;
            } else if (element.tag == DL_TAG_ITEM_END) {
                next = element.value; /* stray */
            } else {
                depth--; /* the delimiter is missing: what comes is not ours */
                sequences--;
                next = offset;
            }
        } else if (element.tag == DL_TAG_ITEM_END) {
            depth--;
            next = element.value;
        } else if (element.tag == DL_TAG_SEQUENCE_END || element.tag == DL_TAG_ITEM) {
            depth--; /* the item's delimiter is missing */
            next = offset;
        } else if (undefined) {
            if (sequences >= deepest)
                return dl_fail_tag(error, DL_ERR_LIMIT, tag, offset, "sequences nest too deep in");
            /* PS3.5 6.2.2: UN of undefined length holds implicit VR little endian. */
            dl_syntax inner = element.vr == DL_VR_UN ? (dl_syntax){false, false} : top.syntax;
            status = push(stack, &depth, (frame){DL_IN_SEQUENCE, inner}, error);
            if (status != DL_OK) return status;
            sequences++;
            next = element.value;
        }
        offset = next < limit ? next : limit; /* a length never leads out of its parent */
    }
    *skipped = (dl_skipped){content, offset, items};
    return DL_OK;
}
