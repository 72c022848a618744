/* Reading symbols. Where they are long, four places are read at a time (jpeg_lossless_lanes.h).
 * Otherwise the quick way looks up as many bits as a table has, which gives one symbol or two with
 * all but the bits of their values, or up to seven of category 0; so nothing but shift, load and
 * shift stands between one lookup and the next. What neither can do, codes longer than that,
 * category 16, the last symbols before a marker, is read symbol by symbol. */
#include "jpeg_lossless_symbols.h"

#include "bitio.h"

/* Bits of all symbols of an entry, at most: of 56 bits, two entries leave as many as a lookup sees.
 */
enum { ENTRY_BITS = 22 };
/* Bits of a symbol from which lanes pay; what misses of lanes may add up to in a scan. */
enum { PACE_LEAST = 7, MISSES_MOST = 16 };

/* An entry: bits 0 to 5 how many bits its symbols have, 6 and 7 which component comes behind them,
 * 8 to 13 how far to shift right for the value of the first (that of the second ends with the
 * symbols), 16 to 20 and 24 to 28 their categories, 29 to 31 how many they are. Where it has none,
 * all but 6 and 7 are 0. */
static uint32_t entry_of(size_t total, size_t next, size_t first_end, uint32_t first,
                         uint32_t second, size_t count) {
    return (uint32_t)total | (uint32_t)next << 6 | (uint32_t)(64 - first_end) << 8 | first << 16 |
           second << 24 | (uint32_t)count << 29;
}

/* --- making lookups ----------------------------------------------------------------------------
 */

static void fill(uint32_t *entries, size_t count, uint32_t entry) {
    for (size_t i = 0; i < count; i++) entries[i] = entry;
}

/* The code of category 0, or one of no bits. */
static dl_code zero_code(const dl_lookup *lookup, uint32_t component) {
    const dl_huffman *table = &lookup->huffman[component];
    for (uint32_t i = 0; i < table->count; i++)
        if (table->values[i] == 0) return lookup->codes[component][i];
    return (dl_code){0, 0};
}

/* What comes behind a symbol that ends at bit `end`, of which the next `bits` are seen. */
static void fill_second(const dl_lookup *lookup, uint32_t component, size_t end, uint32_t first,
                        unsigned bits, uint32_t *entries) {
    const dl_huffman *table = &lookup->huffman[component];
    uint32_t next = (component + 1) % lookup->components;
    for (uint32_t i = 0; i < table->count; i++) {
        dl_code code = lookup->codes[component][i];
        uint32_t category = table->values[i];
        if (code.length > bits) break;
        if (category > 15 || end + code.length + category > ENTRY_BITS) continue;
        unsigned free = bits - code.length;
        fill(entries + ((size_t)code.bits << free), (size_t)1 << free,
             entry_of(end + code.length + category, next, end, first, category, 2));
    }
}

/* Symbols of category 0 behind two of them: the longer the run, the narrower the range. */
static void fill_zeros(const dl_lookup *lookup, uint32_t component, uint32_t *entries) {
    size_t prefix = 0, end = 0;
    for (size_t count = 1; count <= DL_SYMBOLS_AT_ONCE; count++) {
        dl_code code = zero_code(lookup, component);
        if (code.length == 0 || end + code.length > lookup->width) return;
        prefix = prefix << code.length | code.bits;
        end += code.length;
        component = (component + 1) % lookup->components;
        if (count < 3) continue;
        size_t free = lookup->width - end;
        fill(entries + (prefix << free), (size_t)1 << free,
             entry_of(end, component, end, 0, 0, count));
    }
}

static void fill_table(const dl_lookup *lookup, uint32_t component, uint32_t *entries) {
    const dl_huffman *table = &lookup->huffman[component];
    uint32_t next = (component + 1) % lookup->components;
    unsigned width = lookup->width;
    fill(entries, (size_t)1 << width, component << 6);
    for (uint32_t i = 0; i < table->count; i++) {
        dl_code code = lookup->codes[component][i];
        uint32_t category = table->values[i];
        if (code.length > width) break;
        size_t end = code.length + category;
        if (category > 15 || end > ENTRY_BITS) continue;
        uint32_t *range = entries + ((size_t)code.bits << (width - code.length));
        fill(range, (size_t)1 << (width - code.length), entry_of(end, next, end, category, 0, 1));
        if (end >= width) continue;
        size_t each = (size_t)1 << (width - end); /* for each value the same */
        fill_second(lookup, next, end, category, (unsigned)(width - end), range);
        for (size_t k = 1; k < (size_t)1 << category; k++)
            memcpy(range + k * each, range, each * sizeof *range);
    }
    fill_zeros(lookup, component, entries);
}

/* How many bits a symbol has, if there are as many of each as the lengths of their codes say. */
static uint32_t expected_pace(const dl_lookup *lookup) {
    const dl_huffman *table = &lookup->huffman[0];
    uint32_t all = 0, sum = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t length = lookup->codes[0][i].length, share = 65536U >> length;
        all += share;
        sum += share * (length + table->values[i]);
    }
    return all > 0 ? (sum + all / 2) / all : 0;
}

/* Lanes take one symbol a lookup, so they pay where two seldom fit into one. Of several tables a
 * lane would not know which one to begin with. */
static void fill_singles(dl_lookup *lookup) {
    const dl_huffman *table = &lookup->huffman[0];
    unsigned width = lookup->width;
    lookup->pace = lookup->tables == 1 ? expected_pace(lookup) : 0;
    if (lookup->pace < PACE_LEAST) lookup->pace = 0;
    if (lookup->pace == 0) return;
    memset(lookup->singles, 0, sizeof lookup->singles);
    for (uint32_t i = 0; i < table->count; i++) {
        dl_code code = lookup->codes[0][i];
        uint32_t category = table->values[i];
        if (code.length > width || category > 15) continue;
        uint16_t *range = lookup->singles + ((size_t)code.bits << (width - code.length));
        for (size_t k = 0; k < (size_t)1 << (width - code.length); k++)
            range[k] = dl_lane_entry(code.length + category, category);
    }
}

static void fill_brief(const dl_huffman *table, const dl_code *codes, uint8_t *brief) {
    memset(brief, 0, 1 << DL_SHORT_CODE);
    for (uint32_t i = 0; i < table->count && codes[i].length <= DL_SHORT_CODE; i++) {
        unsigned free = DL_SHORT_CODE - codes[i].length;
        memset(brief + (codes[i].bits << free), (int)(i + 1), (size_t)1 << free);
    }
}

void dl_lookup_make(dl_lookup *lookup, const dl_huffman *const *tables, uint32_t components,
                    unsigned width) {
    bool kept = lookup->components == components && lookup->width == width, one = true;
    for (uint32_t k = 0; k < components; k++) {
        kept = kept && memcmp(&lookup->huffman[k], tables[k], sizeof *tables[k]) == 0;
        one = one && memcmp(tables[0], tables[k], sizeof *tables[k]) == 0;
    }
    if (kept) return;
    lookup->components = components;
    lookup->width = width;
    lookup->tables = one ? 1 : components;
    for (uint32_t k = 0; k < components; k++) {
        lookup->huffman[k] = *tables[k];
        dl_huffman_codes(tables[k], lookup->codes[k]);
        fill_brief(tables[k], lookup->codes[k], lookup->brief[k]);
    }
    for (uint32_t k = 0; k < lookup->tables; k++)
        fill_table(lookup, k, lookup->entries + ((size_t)k << width));
    fill_singles(lookup);
}

/* --- bytes -------------------------------------------------------------------------------------
 */

void dl_symbols_start(dl_symbol_reader *reader, const uint8_t *data, size_t size, size_t at) {
    reader->data = data;
    reader->size = size;
    reader->at = at;
    reader->ended = false;
    reader->next = reader->end = reader->buffer + DL_HISTORY;
    reader->bits = 0;
    reader->left = 0;
}

/* Fills the buffer with what follows, without the stuffed bytes. */
static void fill_buffer(dl_symbol_reader *reader) {
    size_t kept = (size_t)(reader->end - reader->next) + DL_HISTORY;
    memmove(reader->buffer, reader->next - DL_HISTORY, kept);
    uint8_t *into = reader->buffer + kept, *stop = reader->buffer + DL_HISTORY + DL_CHUNK;
    const uint8_t *from = reader->data + reader->at, *end = reader->data + reader->size;
    while (into < stop && from < end) {
        size_t most = (size_t)(end - from), room = (size_t)(stop - into);
        if (most > room) most = room;
        const uint8_t *stuffed = memchr(from, 0xFF, most);
        size_t plain = stuffed ? (size_t)(stuffed - from) : most;
        memcpy(into, from, plain);
        into += plain;
        from += plain;
        if (!stuffed) continue;
        if (end - from < 2 || from[1] != 0) break;
        *into++ = 0xFF;
        from += 2;
    }
    reader->ended = from == end || (into < stop && *from == 0xFF);
    reader->at = (size_t)(from - reader->data);
    reader->next = reader->buffer + DL_HISTORY;
    reader->end = into;
    memset(into, 0, 16);
}

size_t dl_symbols_place(const dl_symbol_reader *reader) {
    const uint8_t *unread = reader->next - reader->left / 8;
    size_t place = reader->at;
    for (; unread < reader->end; unread++) place -= *unread == 0xFF ? 2 : 1;
    return place;
}

bool dl_symbols_over(dl_symbol_reader *reader) {
    if (!reader->ended && reader->next == reader->end) fill_buffer(reader);
    return reader->ended && reader->next == reader->end && reader->left < 8;
}

/* --- symbols -----------------------------------------------------------------------------------
 */

/* Two categories, and 0 for six places behind them. */
DL_ALWAYS_INLINE void put_categories(uint8_t *into, uint32_t entry) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t eight = entry >> 16;
    memcpy(into, &eight, sizeof eight);
#else
    memset(into, 0, 8);
    into[0] = (uint8_t)(entry >> 16);
    into[1] = (uint8_t)(entry >> 24);
#endif
}

/* Goes on until `stop` places are filled, or the buffer is nearly empty, or a symbol has no entry.
 * Of `left` only the lowest six bits count, as with a shift. Bits are filled up while an entry is
 * loaded, which has to wait for nothing but the shift by the entry before. */
DL_ALWAYS_INLINE size_t read_entries(dl_symbol_reader *reader, const dl_lookup *lookup,
                                     uint16_t *values, uint8_t *categories, size_t at, size_t stop,
                                     const bool one_table) {
    const uint32_t *entries = lookup->entries;
    const unsigned width = lookup->width, unseen = 64 - width;
    if (reader->end - reader->next < 8) return at;
    const uint8_t *next = reader->next, *safe = reader->end - 8;
    uint64_t bits = reader->bits | dl_load_be64(next) >> reader->left;
    uint32_t left = reader->left | 56,
             component = one_table ? 0 : (uint32_t)(at % lookup->components);
    next += (63 - reader->left) >> 3;
    while (at < stop && next <= safe) {
        uint32_t entry = entries[((size_t)component << width) + (bits >> unseen)];
        bits |= dl_load_be64(next) >> (left & 63);
        next += (~left & 63) >> 3;
        left |= 56;
        for (int i = 0; i < 2; i++) {
            if (i > 0) entry = entries[((size_t)component << width) + (bits >> unseen)];
            values[at] = (uint16_t)(bits >> (entry >> 8 & 63));
            values[at + 1] = (uint16_t)(bits >> (-entry & 63));
            put_categories(categories + at, entry);
            bits <<= entry & 63;
            left -= entry;
            at += entry >> 29;
            if (!one_table) component = entry >> 6 & 3;
        }
        if (entry >> 29 == 0) break; /* if the first was none, so is the second */
    }
    reader->next = next;
    reader->bits = bits;
    reader->left = left & 63;
    return at;
}

static size_t read_plainly(dl_symbol_reader *reader, const dl_lookup *lookup, uint16_t *values,
                           uint8_t *categories, size_t at, size_t stop) {
    return lookup->tables == 1 ? read_entries(reader, lookup, values, categories, at, stop, true)
                               : read_entries(reader, lookup, values, categories, at, stop, false);
}

#ifdef DL_HAVE_AVX2
/* The same with shifts that need no fixed register. */
__attribute__((target("avx2,bmi,bmi2"))) static size_t
read_quickly(dl_symbol_reader *reader, const dl_lookup *lookup, uint16_t *values,
             uint8_t *categories, size_t at, size_t stop) {
    return lookup->tables == 1 ? read_entries(reader, lookup, values, categories, at, stop, true)
                               : read_entries(reader, lookup, values, categories, at, stop, false);
}
#endif

/* Which code the next bits begin with; the number of codes if none. */
static uint32_t find_code(const dl_lookup *lookup, uint32_t component, uint64_t bits) {
    uint32_t count = lookup->huffman[component].count, i = 0;
    uint32_t brief = lookup->brief[component][bits >> (64 - DL_SHORT_CODE)];
    if (brief > 0) return brief - 1;
    for (; i < count; i++) {
        dl_code code = lookup->codes[component][i];
        if (code.length > DL_SHORT_CODE && bits >> (64 - code.length) == code.bits) break;
    }
    return i;
}

/* Whether the last bits of a segment begin a code that is longer than they are. */
static bool may_go_on(const dl_lookup *lookup, uint32_t component, uint64_t bits, uint32_t left) {
    for (uint32_t i = 0; i < lookup->huffman[component].count; i++) {
        dl_code code = lookup->codes[component][i];
        if (code.length <= left) continue;
        if (left == 0 || bits >> (64 - left) == (uint64_t)code.bits >> (code.length - left))
            return true;
    }
    return false;
}

static dl_status read_one(dl_symbol_reader *reader, const dl_lookup *lookup, uint32_t component,
                          uint16_t *value, uint8_t *category) {
    const dl_huffman *table = &lookup->huffman[component];
    if (!reader->ended && reader->end - reader->next < 8) fill_buffer(reader);
    for (; reader->left <= 56 && reader->next < reader->end; reader->left += 8)
        reader->bits |= (uint64_t)*reader->next++ << (56 - reader->left);
    uint32_t found = find_code(lookup, component, reader->bits);
    if (found == table->count)
        return may_go_on(lookup, component, reader->bits, reader->left) ? DL_ERR_TRUNCATED
                                                                        : DL_ERR_CORRUPT;
    unsigned size = table->values[found], extra = size < 16 ? size : 0;
    unsigned total = lookup->codes[component][found].length + extra;
    if (total > reader->left) return DL_ERR_TRUNCATED;
    *category = (uint8_t)size;
    *value = (uint16_t)(reader->bits >> (64 - total));
    reader->sixteen = reader->sixteen || size == 16;
    reader->bits <<= total;
    reader->left -= total;
    return DL_OK;
}

/* Goes on so many bits. A place that was read past never comes back: where to refill from would
 * stand before the buffer. */
static void skip_bits(dl_symbol_reader *reader, size_t count) {
    if (count < reader->left) {
        reader->bits <<= count;
        reader->left -= (uint32_t)count;
        return;
    }
    count -= reader->left;
    reader->next += (count + 7) / 8;
    reader->left = -(uint32_t)count & 7;
    reader->bits = reader->left > 0 ? (uint64_t)reader->next[-1] << (64 - reader->left) : 0;
}

/* By lanes, where enough bytes are left; how many symbols those were. Rounds that give little more
 * than one lane would cost more than they save: when there are too many of them, the scan is read
 * without. So time is linear whatever the bits are: a round takes a fixed number of steps, and all
 * but a third and a few of them give two lanes or more. */
static size_t read_lanes(dl_symbol_reader *reader, const dl_lookup *lookup, uint16_t *values,
                         uint8_t *categories) {
    size_t needs = dl_round_needs(reader->pace) / 8 + 1; /* less than DL_CHUNK with any pace */
    if ((size_t)(reader->end - reader->next) < needs && !reader->ended) fill_buffer(reader);
    if ((size_t)(reader->end - reader->next) < needs) return 0;
    size_t start = 8 * (size_t)(reader->next - reader->buffer) - reader->left, bit = start;
    size_t read = dl_lanes_read(&reader->lanes, lookup->singles, lookup->width, reader->buffer,
                                &bit, reader->pace, values, categories);
    size_t pace = read > 0 ? (bit - start + read / 2) / read : lookup->pace;
    skip_bits(reader, bit - start);
    if (pace < PACE_LEAST)
        reader->misses += MISSES_MOST / 2;
    else if (read < 2 * DL_LANE_SYMBOLS)
        reader->misses += 2;
    else if (reader->misses > 0)
        reader->misses--;
    reader->pace = (uint32_t)(pace < PACE_LEAST ? PACE_LEAST : pace);
    return read;
}

dl_status dl_symbols_read(dl_symbol_reader *reader, const dl_lookup *lookup, uint16_t *values,
                          uint8_t *categories, size_t *at, size_t count, size_t more) {
    size_t stop = count, safe = DL_SYMBOLS_SPILL - 1; /* two lookups from any place before `stop` */
    if (more < safe) stop = count + more > safe ? count + more - safe : 0;
    if (stop > count) stop = count;
    reader->sixteen = false;
    size_t (*quick)(dl_symbol_reader *, const dl_lookup *, uint16_t *, uint8_t *, size_t, size_t) =
        read_plainly;
#ifdef DL_HAVE_AVX2
    if (reader->has_bmi2) quick = read_quickly;
#endif
    while (*at < count) {
        if (reader->pace > 0 && reader->misses < MISSES_MOST && count + more - *at >= DL_ROUND_MOST)
            *at += read_lanes(reader, lookup, values + *at, categories + *at);
        if (*at >= count) break;
        if (*at < stop && reader->end - reader->next < 8 && !reader->ended) fill_buffer(reader);
        *at = quick(reader, lookup, values, categories, *at, stop);
        if (*at >= count) break;
        if (*at < stop && reader->end - reader->next < 8 && !reader->ended) continue;
        dl_status status = read_one(reader, lookup, (uint32_t)(*at % lookup->components),
                                    values + *at, categories + *at);
        if (status != DL_OK) return status;
        ++*at;
    }
    return DL_OK;
}
