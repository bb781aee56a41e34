"""Personal data in text as people write it, not as the patterns do; and numbers that are nobody's."""

import pytest

from polylm_jax.corpus import personal_data
from polylm_jax.errors import InputError
from polylm_jax.languages.registry import PAPER_CODES

# Invented numbers, as notices and letters in each country write them. (language, text, masks)
THEIRS = [
    ("en", "For tickets call 555-867-5309 or (555) 220-1180 after six.", 2),
    ("en", "Ring the porter on 020 7946 0018 or 07700 900461.", 2),
    ("en", "Office: +44 20 7946 0321, mobile +1 212 555 0178.", 2),
    ("zh", "报名请致电13912340876，或拨打010-6552-3178。", 2),
    ("zh", "客服热线 021-5888 1234，手机：138 1234 0099", 2),
    ("ru", "Тел.: 8 (495) 123-45-67, моб. 8-916-123-45-67", 2),
    ("ru", "Пишите или звоните +7 (812) 309-12-34.", 1),
    ("es", "Llame al 612 34 56 78 o al 91 123 45 67.", 2),
    ("es", "Para reservas, tel. 634 567 890.", 1),
    ("de", "Rufen Sie an: 030 901820, mobil 0151 23456789.", 2),
    ("de", "Sekretariat, Telefon 089/2180-0, Fax +49 89 2180 1234", 2),
    ("fr", "Appelez le 01 42 68 53 00 ou le 06 39 98 12 34.", 2),
    ("fr", "Secrétariat : tél. 04.91.55.12.34", 1),
    ("it", "Chiamare lo 06 6982 1234 o il 347 123 4567.", 2),
    ("pt", "Ligue para (11) 98765-4321 ou (21) 3333-4444.", 2),
    ("pt", "Telefone: 912 345 678", 1),
    ("ja", "お問い合わせ：03-3581-4111（代表）、080-1234-5678", 2),
    ("vi", "Liên hệ: 0912 345 678 hoặc điện thoại 024 3825 1234", 2),
    ("id", "Hubungi panitia di 0813-1234-5678 atau (021) 345-6789.", 2),
    ("pl", "Tel. 22 621 12 34, kom. 601 234 567", 2),
    ("nl", "Bel 020-6241234 of 06-41234567.", 2),
    ("ar", "للحجز اتصل على ٠٥٠ ٦١٢ ٣٤٥٦ أو 011 461 2345.", 2),
    ("tr", "Bilgi için 0212 249 12 34 ya da 0532 123 45 67 numarasını arayın.", 2),
    ("th", "ติดต่อ 02-218-1234 หรือโทร 089 123 4567", 2),
    ("he", "להזמנות: 03-6951234 או נייד 052-123-4567", 2),
    # Words behind a number that begin as units do, or before it as a catalogue's.
    ("ja", "すべて 03-3581-4111 人は、何 080-1234-5678 人も", 2),
    ("zh", "拨打 010-6552-9245 人人有权。", 1),
    ("ru", "Каждый +7 495 123-45-66 человек имеет право", 1),
    ("pl", "do swego +48 22 621 12 34 kraju, lub +48 22 621 12 35 W sprawie", 2),
    ("pt", "perante a (11) 3333-4361 lei", 1),
    ("ko", "목적과 02-2100-1379 원칙에", 1),
    ("en", "an order: +1 (212) 555-0458 in which", 1),
    ("de", "Medien jeder Art 93.95.72.18 und", 1),
    ("ko", "문의: 02-2123-4567, 휴대전화 010-1234-5678", 2),
    ("en", "Write to anna.k@example.org, or bob@mail.example.co.uk.", 2),
    ("zh", "邮箱ann@example.com请勿公开；QQ邮箱 12345@qq.com", 2),
    ("ru", "почта@пример.рф и anna@example.ru", 2),
    ("ko", "ann@example.kr으로 보내 주세요.", 1),
    ("ja", "連絡先：taro＠example.co.jpまで", 1),
    ("de", "max (at) beispiel (punkt) de", 1),
    ("en", "max.m [at] example [dot] org", 1),
    ("en", "It came from 93.184.216.34 and 2a00:1450:4001:81b::200e.", 2),
]  # fmt: skip
# Lines in which nothing is anybody's.
NOBODYS = [
    "§ 4.2.1.3 and clause 12.3.4.1; see 3.1.2.2 below.",
    "std::decay, std::vector<int>::iterator, Foo::Bar::baz, Face::Add, a::b::c",
    "In 1998-2004 the firm grew; pp. 123-145, 1876-1934, vol. 12 (1998) 345-367.",
    "A profit of 12 500 000, then 1 234 567 890 and 3.456.789,00 euros.",
    "+12 500 000 people, +48 221 234 567 kr, 601 234 567 zł, 912 345 678 человек, 612 345 678人",
    "$1,234,567.89 or € 12.345.678, £250 000 000 in all",
    "100234567\n100234568\n100234569\n100234570",
    "0912345678\n0912345679\n0912345680",
    "12 34 56\n78 90 12\n34 56 78",
    "127.0.0.1, 10.0.0.5, 192.168.178.1, 169.254.1.1, 0.0.0.0 and ::1, fe80::1",
    "Chrome/96.0.4664.110, version 10.0.19041.1, v1.2.3.4, jQuery 3.6.0.1",
    "ISBN 978-3-16-148410-0, ISSN 0028-0836, EAN 4006381333931, DOI 10.1000/182",
    "2024-01-05 10:30:59, 05.01.2024, 5/1/2024 12:30, 20240105T103059",
    "The tram goes at 06 15 35 55, on Sundays at 07 10 40.",
    "48°51'24\" N, 2°21'03\" E; 52.520008, 13.404954; 4515 N 1234 W",
    "Results 3-1 2-2 0-0 4-1; 6-4 7-6 (7-5) 6-2",
    "pi is 3.14159265358979 and e is 2.71828182845905",
    "01067 Dresden, 10115 Berlin, 75001 Paris, 100-0001 Tokyo",
    "git@github.com:owner/repo.git, @scope/pkg@1.2.3, user@localhost, @anna, a@b",
    "Order 4500123456, invoice 2024-000123, item 0815-4711, No. 12-34567-89",
    "SHA 9f86d081884c7d659a2feaa0c55ad015, MAC 00:1A:2B:3C:4D:5E",
    "0101 1010 0011 1100 1111 0000",
    "1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377",
    "| 1200 | 1350 | 1425 | 1500 |\n| 2100 | 2240 | 2310 | 2400 |",
    "人口は1億2345万6789人、面積は377,975平方キロ。",
    "2023年12月25日 10時30分、第1234567号",
    "१२३ ४५६, ٠٩ ١١ ٢٠٠١, ٤٫٢٫١٫٣",
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "count"), THEIRS, ids=lambda value: str(value)[:30])
def test_what_is_somebodys_is_masked(code, text, count):
    masked, found = personal_data.masked(text, code)
    assert sum(found.values()) == count, masked
    assert sum(map(str.isdecimal, masked)) == 0 or "<" in masked


@pytest.mark.parametrize("text", NOBODYS, ids=lambda text: text[:30])
def test_what_is_nobodys_stays(text):
    for code in PAPER_CODES:
        assert personal_data.masked(text, code)[0] == text, code


def test_account_numbers_are_masked_by_checksum():
    text = "IBAN DE89 3704 0044 0532 0130 00, card 4111 1111 1111 1111, 身份证 11010519491231002X"
    wrong = "IBAN DE89 3704 0044 0532 0130 01, card 4111 1111 1111 1112, 身份证 110105194912310021"
    kinds = personal_data.kinds_of(["iban", "card", "id"])
    assert personal_data.masked(text, "zh", kinds)[0] == "IBAN <IBAN>, card <CARD>, 身份证 <ID>"
    assert personal_data.masked(wrong, "zh", kinds)[0] == wrong
    assert "<IBAN>" not in personal_data.masked(text, "zh")[0]


def test_the_kinds_are_checked():
    assert personal_data.kinds_of(True) == ("email", "ip", "phone") and not personal_data.kinds_of(
        False
    )
    with pytest.raises(InputError, match="PERSONAL_DATA has 'emial'.*Did you mean 'email'"):
        personal_data.kinds_of(["emial"])
