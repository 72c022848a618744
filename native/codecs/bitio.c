#include "bitio.h"

/* Seven bytes at once where none of them is 0xFF: from any bit on, eight bytes hold as many. */
size_t dl_stuff_bits(dl_bit_stuffer *stuffer, const uint8_t *from, size_t count) {
    const uint64_t seven = ~(uint64_t)0xFF;
    uint8_t *out = stuffer->out;
    bool after_ff = stuffer->after_ff;
    size_t at = 0;
    for (;;) {
        uint64_t bits = dl_load_be64(from + at / 8) << at % 8;
        if (!after_ff && count - at >= 56 && !dl_has_ff(bits & seven)) {
            dl_store_be64(out, bits);
            out += 7;
            at += 56;
            continue;
        }
        unsigned length = after_ff ? 7 : 8;
        if (count - at < length) break;
        *out = (uint8_t)(bits >> (64 - length));
        after_ff = *out++ == 0xFF;
        at += length;
    }
    stuffer->out = out;
    stuffer->after_ff = after_ff;
    return at;
}

size_t dl_unstuff_bits(dl_bit_unstuffer *unstuffer, uint8_t *out, size_t room) {
    const uint8_t *at = unstuffer->at, *end = unstuffer->end;
    uint8_t *start = out, *stop = out + room;
    uint64_t held = unstuffer->bits;
    unsigned count = unstuffer->count;
    bool after_ff = unstuffer->after_ff;
    while (stop - out >= 8 && at < end) {
        if (!after_ff && end - at >= 8) {
            uint64_t bits = dl_load_be64(at);
            if (!dl_has_ff(bits)) {
                dl_store_be64(out, held | bits >> count);
                held = bits << 1 << (63 - count);
                out += 8;
                at += 8;
                continue;
            }
        }
        unsigned length = after_ff ? 7 : 8;
        if (*at == 0xFF && (end - at < 2 || at[1] >= 0x80)) {
            end = at;
            break;
        }
        count += length;
        held |= (uint64_t)*at << (64 - count);
        after_ff = *at++ == 0xFF;
        if (count >= 8) {
            *out++ = (uint8_t)(held >> 56);
            held <<= 8;
            count -= 8;
        }
    }
    unstuffer->at = at;
    unstuffer->end = end;
    unstuffer->bits = held;
    unstuffer->count = count;
    unstuffer->after_ff = after_ff;
    return (size_t)(out - start);
}
