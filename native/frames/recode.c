/* A data set in another encoding. */
#include "dicomloom/frames.h"

dl_status dl_recode(dl_lister *lister, const dl_recoding *how, uint64_t offset, uint64_t end,
                    dl_bytes *into, dl_error *error) {
    (void)lister, (void)how, (void)end, (void)into;
    return dl_fail(error, DL_ERR_UNSUPPORTED, offset, "recoding is not there yet");
}
