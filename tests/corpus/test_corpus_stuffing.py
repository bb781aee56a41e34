"""What nobody wrote to be read, found without a list of bad words: keywords, words at random, what sites put round texts."""

import random
import re

import planted_corpus
import pytest
import toy_corpus

from polylm_jax.corpus import confusions, encoding, furniture, limits, rules, two_languages
from polylm_jax.corpus.language_id import Identifier
from polylm_jax.languages.registry import LANGUAGES, PAPER_CODES

SEARCH_TERMS = {
    "en": ("garage doors", "repair price cheap near urgent today best local company free offer"),
    "fr": ("volets roulants", "réparation prix pas cher devis gratuit urgent artisan pose moteur blanc"),
    "ru": ("натяжные потолки", "цена недорого заказать фото отзывы монтаж срочно кухня ванная акция"),
    "tr": ("oto kiralama", "ucuz fiyat firma havaalanı günlük aylık kampanya yorum şubeler indirim"),
    "ar": ("تأجير سيارات", "رخيصة أسعار شركة مطار يومي شهري عروض أفضل مكتب ليموزين"),
    "zh": ("装修公司", "报价 电话 哪家好 排名 设计 便宜 推荐 地址 口碑 招聘"),
    "ko": ("포장이사", "가격 추천 업체 비용 견적 후기 원룸 저렴한곳 당일 순위"),
    "th": ("รถเช่า", "ราคาถูก รายวัน สนามบิน เชียงใหม่ ภูเก็ต โปรโมชั่น ออนไลน์ รายเดือน ป้ายแดง รีวิว"),
}  # fmt: skip


def broken(text: str, code: str) -> list[str]:
    language = LANGUAGES[code]
    return list(rules.violations(text, language, limits.limits_of(language.script, None, code)))


@pytest.mark.parametrize("code", SEARCH_TERMS)
def test_search_terms_go_with_and_without_full_stops(code):
    key, others = SEARCH_TERMS[code]
    glue = "" if code in ("zh", "ko", "th") else " "
    terms = [f"{key}{glue}{other}" for other in 2 * others.split()]
    for apart in (" ", ". "):
        assert broken(apart.join(terms), code), (code, apart)


@pytest.mark.parametrize("code", sorted(set(PAPER_CODES) - {"th", "ja"}))
def test_words_at_random_go_and_their_text_stays(code):
    """Thai writes no marks, and Japanese phrases are long: there nothing tells."""
    if code not in toy_corpus.CODES:
        text = "\n".join(open_text(code))
    else:
        text = "\n".join(toy_corpus.document(code, n) for n in range(3))
    assert "unpunctuated" not in broken(text, code)
    words = re.findall(r"[^\W\d_]+", text) if LANGUAGES[code].spaces else re.findall(r"\w", text)
    random.Random(0).shuffle(words)
    joined = (" " if LANGUAGES[code].spaces else "").join(words[:120])
    assert "unpunctuated" in broken(joined, code)


def open_text(code: str) -> list[str]:
    return [
        p.text
        for p in planted_corpus.documents()
        if p.id.startswith(f"{code}.") and p.kind in ("book", "news")
    ]


FRAMES = {
    "en": "Log in\nForgot password?\nFollow us on Twitter\n© 2021 Acme. All rights reserved.\nPrivacy policy\nNewsletter",
    "de": "Sind Sie über 18 Jahre alt? Ja, ich bin über 18. Seite verlassen. Diese Website verwendet Cookies. Impressum. AGB.",
    "fr": "mai 2021 (4)\navril 2021 (11)\nmars 2021 (7)\nCuisine (18)\nJardin (3)\nVoyages (21)\nNon classé (40)",
    "ru": "Войти\nЗабыли пароль?\nПоделиться\nКомментарии\nВсе права защищены\nПодписаться на рассылку",
    "zh": "版权所有 © 2020 京ICP备10000000号-1 京公网安备1101 营业执照 增值电信业务经营许可证 举报电话 技术支持",
    "ja": "ログイン\nパスワードをお忘れですか\n会員登録\nシェア\n利用規約\nお問い合わせ\n無断転載を禁じます",
    "it": "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore.",
}  # fmt: skip


@pytest.mark.parametrize("code", FRAMES)
def test_what_sites_put_round_texts_is_none(code):
    assert furniture.share(FRAMES[code], code) > limits.EVERYWHERE["furniture"][1]
    assert furniture.share("\n".join(open_text(code)), code) == 0


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("zh", "首页 新闻 体育 财经 娱乐 科技 汽车 房产 教育 健康 旅游 美食 时尚 游戏 论坛 博客 视频"),
        ("ja", "会社概要 事業内容 採用情報 製品一覧 導入事例 資料請求 カート ログイン 新着商品 セール 雑貨 家具 家電 食品 衣類 靴"),
        ("ko", "홈 로그인 회원가입 장바구니 주문조회 고객센터 신상품 베스트 원피스 아우터 신발 가방 세일 이벤트 리뷰 공지사항"),
        ("th", "หน้าแรก สินค้า บริการ โปรโมชั่น บทความ แกลเลอรี่ ติดต่อเรา เข้าสู่ระบบ ตะกร้า โต๊ะ เก้าอี้ ตู้ เตียง โคมไฟ พรม ผ้าม่าน"),
    ],
)  # fmt: skip
def test_a_menu_whose_labels_spaces_part_goes(code, line):
    assert "labels" in broken(line, code)
    assert "labels" not in broken("\n".join(open_text(code)), code)


def test_a_banner_in_a_close_language_goes_headings_stay():
    guess = Identifier(PAPER_CODES)
    banner = "Utilizamos cookies propias y de terceros para mejorar.\nAceptar todas\nRechazar\n"
    own = "A casa do rio\n\n" + open_text("pt")[0]
    for text in (banner + "\n" + own, own + "\n\n" + banner.strip()):
        found = two_languages.parted(text, PAPER_CODES, "und", guess)
        assert found is not None and found.code == "pt" and found.text == own
    quoted = (
        "Como diz o provérbio:\nMás vale pájaro en mano que ciento volando por el cielo.\n" + own
    )
    assert two_languages.parted(quoted, PAPER_CODES, "und", guess) is None


@pytest.mark.parametrize(
    ("written", "read", "text"),
    [
        ("cp949", "gb18030", "오늘은 비가 와서 집에서 책을 읽었다. 내일은 날씨가 좋아진다고 한다."),
        ("euc_jp", "gb18030", "祖父の時計は三分だけ進んでいた。毎日その時間に家を出て、東の町の学校で子どもに国語を教え、夜は本を読んだ。"),
        ("cp1252", "cp1251", "Le déjeuner était prêt, mais le bébé dormait, et la fenêtre ouverte claquait au vent."),
        ("cp1252", "cp437", "Die größte Straße führt über die Brücke, und am Ende fährt ein grüner Zug für Gäste."),
    ],
)  # fmt: skip
def test_wrong_encodings_whose_letters_are_letters(written, read, text):
    assert encoding.repaired(text.encode(written).decode(read))[0] == text
    assert encoding.repaired(text) == (text, "") and not encoding.broken(text)


@pytest.mark.parametrize("code", PAPER_CODES)
def test_good_text_and_formulas_are_no_confusion(code):
    science = "TNFα und IL-6 nach Δt = 5 µs, F ~ xⁿ, größer ÷ kleiner; 3D-модель, IT-отдел."
    assert confusions.turned_back("\n".join([*open_text(code), science])) is None


MANUAL = """# makoctl dismiss

> Dismiss notifications.

- Dismiss all:

`makoctl dismiss --all`

- Register, then log in:

`makoctl register`

- Share on a list; accept cookies:

`makoctl share`
"""


def test_orders_of_a_manual_are_no_buttons():
    """As pages of tldr have them; without their commands they might be a site's."""
    assert furniture.share(MANUAL, "en") == 0
    assert "furniture" not in broken(MANUAL, "en")
    assert "furniture" in broken(MANUAL.replace("`", ""), "en")
    assert furniture.share(MANUAL.replace("`", ""), "en") > limits.EVERYWHERE["furniture"][1] / 2
