# cython: language_level=3, embedsignature=True
"""native/dicom for Python: the dictionary of PS3.6."""

from dicomloom._native.core cimport (
    dl_dictionary_at,
    dl_dictionary_entry,
    dl_dictionary_find,
    dl_dictionary_find_keyword,
    dl_dictionary_keyword,
    dl_dictionary_name,
    dl_dictionary_vm,
    dl_dictionary_vr,
    dl_vr_table,
)


cdef object entry_of(const dl_dictionary_entry *entry):
    if entry == NULL:
        return None
    return (
        entry.tag,
        entry.mask,
        dl_vr_table[entry.vr].name.decode("ascii"),
        dl_dictionary_vm(entry).decode("ascii"),
        dl_dictionary_keyword(entry).decode("ascii"),
        dl_dictionary_name(entry).decode("utf-8"),
        bool(entry.retired),
    )


def find_tag(unsigned int tag):
    return entry_of(dl_dictionary_find(tag))


def vr_of(unsigned int tag):
    return dl_vr_table[<int>dl_dictionary_vr(tag)].name.decode("ascii")


def find_keyword(str keyword):
    if not keyword.isascii():  # no keyword is; and not all of Python's text can be encoded
        return None
    cdef bytes text = keyword.encode("ascii")
    return entry_of(dl_dictionary_find_keyword(text, len(text)))


def entries():
    cdef size_t index = 0
    found = []
    while True:
        entry = entry_of(dl_dictionary_at(index))
        if entry is None:
            return found
        found.append(entry)
        index += 1
