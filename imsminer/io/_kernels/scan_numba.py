"""The fast scan of an imzML file's list of spectra: one pass over the bytes.

It accepts a strict subset of XML, the one that instruments and converters write, and
stops with a reason at the first byte that is outside of it. The caller then takes the
tolerant parser, so nothing here is ever guessed, repaired or skipped.
"""

import numpy as np
from numba import njit

from imsminer.io._kernels.scan_words_numba import (
    ACCESSION,
    ARRAY,
    CV_PARAM,
    ENCODED,
    GROUP_REF,
    IN_NAME,
    IN_SPACE,
    IN_VALUE,
    LENGTH,
    LIST,
    NAME,
    OFFSET,
    POSITION,
    REF,
    SPECTRUM,
    STARTS_NAME,
    VALUE,
    is_word,
    read_accession,
    read_number,
    scan_flag,
)

__all__ = [
    "GROUP_INTENSITY",
    "GROUP_MOBILITY",
    "GROUP_MZ",
    "GROUP_ODD",
    "GROUP_PLAIN",
    "MORE",
    "scan_spectra",
]

GROUP_PLAIN, GROUP_MZ, GROUP_INTENSITY, GROUP_MOBILITY, GROUP_ODD = 0, 1, 2, 3, 4

_OK, _ODD, _CUT, MORE = 0, 1, 2, 3
_MAX_DEPTH = 24


@njit(nogil=True, cache=True)
def scan_spectra(
    text, list_start, start, more, ids, id_bounds, id_kinds, id_flags, table, flags
):
    """Fill the table of spectra from the bytes of a spectrumList.

    Parameters
    ----------
    text : ndarray of uint8
        The whole file.
    list_start : int
        Where the spectrumList's start tag begins.
    start : int
        Where to go on: there, or where an earlier part ended.
    more : bool
        Whether spectra follow those that the table has room for.
    ids : ndarray of uint8
        The ids of the parameter groups, one after the other.
    id_bounds : ndarray of int64, shape (n_groups + 1,)
        Where each id starts and ends.
    id_kinds : ndarray of int64, shape (n_groups,)
        What a reference to the group means: one of the ``GROUP_`` codes.
    id_flags : ndarray of uint8, shape (n_groups,)
        Flags that a plain group gives to a spectrum.
    table : ndarray of int64, shape (count, 9) or (count, 12)
        Filled: x, y, z, then offset, length, encoded length of m/z, of intensity and,
        with twelve columns, of the ion mobility, which each spectrum must then have.
        A z that is not given is -1.
    flags : ndarray of uint8, shape (count,)
        Filled: flags of each spectrum.

    Returns
    -------
    n_rows : int
        Spectra that are complete.
    status : int
        0 when the list was read to its end, `MORE` when the table is full and more
        follow, else it must be read another way.
    position : int
        Where the scan ended.
    odd_names : bool
        Whether a term's name contradicts its accession.
    """
    n = text.size
    i = start
    row = 0
    depth = 0
    odd_names = False
    name_starts = np.zeros(_MAX_DEPTH, np.int64)
    name_stops = np.zeros(_MAX_DEPTH, np.int64)
    if start > list_start:
        # Inside the list, where a spectrum has just ended.
        name_starts[0] = list_start + 1
        name_stops[0] = list_start + 1 + LIST.size
        depth = 1
    with_mobility = table.shape[1] > 9
    in_spectrum = in_array = False
    seen_x = seen_y = seen_z = seen_mz = seen_intensity = seen_mobility = False
    kind = 0
    offset = length = encoded = np.int64(-1)
    flag = 0
    while True:
        while i < n and IN_SPACE[text[i]]:
            i += 1
        if i + 1 >= n:
            return row, _CUT, i, odd_names
        if text[i] != 60:
            return row, _ODD, i, odd_names
        i += 1

        # -- an end tag ----------------------------------------------------------------
        if text[i] == 47:
            i += 1
            s = i
            while i < n and IN_NAME[text[i]]:
                i += 1
            e = i
            while i < n and IN_SPACE[text[i]]:
                i += 1
            if i >= n:
                return row, _CUT, i, odd_names
            depth -= 1
            if text[i] != 62 or depth < 0:
                return row, _ODD, i, odd_names
            i += 1
            if not is_word(text, s, e, text[name_starts[depth] : name_stops[depth]]):
                return row, _ODD, i, odd_names
            if depth == 0:
                return row, _OK, i, odd_names
            if in_array and is_word(text, s, e, ARRAY):
                in_array = False
                if kind == 0 or offset < 0 or length < 0 or encoded < 0:
                    return row, _ODD, i, odd_names
                if kind == GROUP_MZ:
                    if seen_mz:
                        return row, _ODD, i, odd_names
                    seen_mz = True
                    c = 3
                elif kind == GROUP_MOBILITY:
                    if seen_mobility:
                        return row, _ODD, i, odd_names
                    seen_mobility = True
                    c = 9
                else:
                    if seen_intensity:
                        return row, _ODD, i, odd_names
                    seen_intensity = True
                    c = 6
                table[row, c] = offset
                table[row, c + 1] = length
                table[row, c + 2] = encoded
            elif depth == 1:
                if not (seen_x and seen_y and seen_mz and seen_intensity):
                    return row, _ODD, i, odd_names
                if with_mobility and not seen_mobility:
                    return row, _ODD, i, odd_names
                if not seen_z:
                    table[row, 2] = -1
                flags[row] = flag
                in_spectrum = False
                row += 1
                if more and row == table.shape[0]:
                    return row, MORE, i, odd_names
            continue

        # -- a start tag ---------------------------------------------------------------
        s = i
        while i < n and IN_NAME[text[i]]:
            i += 1
        e = i
        if e == s or not STARTS_NAME[text[s]]:
            # A comment, a section or an instruction, if it is XML at all.
            return row, _ODD, i, odd_names
        a0 = a1 = v0 = v1 = r0 = r1 = m0 = m1 = -1
        closed = False
        seen_names = np.uint64(0)
        while True:
            gap = i
            while i < n and IN_SPACE[text[i]]:
                i += 1
            if i + 2 >= n:
                return row, _CUT, i, odd_names
            if text[i] == 62:
                i += 1
                break
            if text[i] == 47:
                if text[i + 1] != 62:
                    return row, _ODD, i, odd_names
                closed = True
                i += 2
                break
            p = i
            while i < n and IN_NAME[text[i]]:
                i += 1
            q = i
            if i + 2 >= n:
                return row, _CUT, i, odd_names
            if p == gap or q == p or not STARTS_NAME[text[p]]:
                return row, _ODD, i, odd_names
            if text[i] != 61 or text[i + 1] != 34:
                return row, _ODD, i, odd_names
            # An attribute may not come twice. This hash tells apart those that mzML
            # has for one element; others that collide only cost the fast way.
            key = (q - p + 8 * np.int64(text[p]) + np.int64(text[q - 1])) & 63
            bit = np.uint64(1) << np.uint64(key)
            if seen_names & bit:
                return row, _ODD, i, odd_names
            seen_names |= bit
            i += 2
            b = i
            while i < n and IN_VALUE[text[i]]:
                i += 1
            if i >= n:
                return row, _CUT, i, odd_names
            if text[i] != 34:
                return row, _ODD, i, odd_names
            if is_word(text, p, q, ACCESSION):
                a0, a1 = b, i
            elif is_word(text, p, q, VALUE):
                v0, v1 = b, i
            elif is_word(text, p, q, NAME):
                m0, m1 = b, i
            elif is_word(text, p, q, REF):
                r0, r1 = b, i
            i += 1

        # -- what the tag says ---------------------------------------------------------
        if is_word(text, s, e, CV_PARAM):
            if not in_spectrum or a0 < 0:
                return row, _ODD, i, odd_names
            code = read_accession(text, a0, a1)
            if code == 0:
                return row, _ODD, i, odd_names
            if in_array:
                if code == 1000102 and offset < 0:
                    offset = read_number(text, v0, v1)
                    if offset < 0:
                        return row, _ODD, i, odd_names
                    odd_names |= not is_word(text, m0, m1, OFFSET)
                elif code == 1000103 and length < 0:
                    length = read_number(text, v0, v1)
                    if length < 0:
                        return row, _ODD, i, odd_names
                    odd_names |= not is_word(text, m0, m1, LENGTH)
                elif code == 1000104 and encoded < 0:
                    encoded = read_number(text, v0, v1)
                    if encoded < 0:
                        return row, _ODD, i, odd_names
                    odd_names |= not is_word(text, m0, m1, ENCODED)
                elif code != 1000101:
                    return row, _ODD, i, odd_names
            elif code >= 1000050 and code <= 1000052:
                number = read_number(text, v0, v1)
                if number < 0:
                    return row, _ODD, i, odd_names
                axis = code - 1000050
                if axis == 0:
                    again, seen_x = seen_x, True
                elif axis == 1:
                    again, seen_y = seen_y, True
                else:
                    again, seen_z = seen_z, True
                if again:
                    return row, _ODD, i, odd_names
                table[row, axis] = number
                right = (
                    m1 - m0 == 10
                    and is_word(text, m0, m1 - 1, POSITION[:9])
                    and text[m1 - 1] == 120 + axis
                )
                odd_names |= not right
            elif code >= 1000102 and code <= 1000104:
                return row, _ODD, i, odd_names
            elif code == -1000511 and v1 > v0:
                level = read_number(text, v0, v1)
                if level < 0:
                    return row, _ODD, i, odd_names
                if level > 1:
                    flag |= 16
            elif code == -1000580:
                flag |= 16
            elif code <= -1000127 and code >= -1000130:
                mark, right = scan_flag(text, m0, m1, code)
                flag |= mark
                odd_names |= not right
        elif is_word(text, s, e, GROUP_REF):
            if not in_spectrum or r0 < 0:
                return row, _ODD, i, odd_names
            found = -1
            for g in range(id_kinds.size):
                if is_word(text, r0, r1, ids[id_bounds[g] : id_bounds[g + 1]]):
                    found = g
                    break
            if found < 0:
                return row, _ODD, i, odd_names
            what = id_kinds[found]
            if in_array:
                if kind != 0 or what == GROUP_PLAIN or what == GROUP_ODD:
                    return row, _ODD, i, odd_names
                kind = what
            elif what == GROUP_PLAIN:
                flag |= id_flags[found]
            else:
                return row, _ODD, i, odd_names
        elif depth == 1:
            if not is_word(text, s, e, SPECTRUM) or closed or row >= table.shape[0]:
                return row, _ODD, i, odd_names
            in_spectrum = True
            seen_x = seen_y = seen_z = False
            seen_mz = seen_intensity = seen_mobility = False
            flag = 0
        elif depth == 0:
            if not is_word(text, s, e, LIST):
                return row, _ODD, i, odd_names
        elif is_word(text, s, e, ARRAY):
            if in_array or closed:
                return row, _ODD, i, odd_names
            in_array = True
            kind = 0
            offset = length = encoded = np.int64(-1)
        elif is_word(text, s, e, SPECTRUM):
            return row, _ODD, i, odd_names
        if closed:
            if depth == 0:
                return row, _OK, i, odd_names
        else:
            if depth >= _MAX_DEPTH:
                return row, _ODD, i, odd_names
            name_starts[depth] = s
            name_stops[depth] = e
            depth += 1
