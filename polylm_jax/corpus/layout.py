"""What shape a text has: a table, a dialogue, a menu. The same digits and dashes mean something else in each."""

import functools
from collections import Counter
from collections.abc import Container, Sequence

import regex

_NUMBER = regex.compile(r"\p{Nd}[\p{Nd}.,:٫٬%/-]*")
_LETTER = regex.compile(r"\p{L}")
_LEAST_ROWS = 3
_MOST_ROWS = 0.6  # of the lines, those with as many numbers, before they are a table
_MOST_OF_SEVERAL = (
    0.5  # the same where each has two numbers and more: a heading and a remark stand by
)
_SPEECH = regex.compile(r"^\s*(?:[-–—―－]|──|——)+\s?\S")
# What ends a sentence. Thai and its neighbours end it with nothing: there a long line is enough.
_END = regex.compile(r"[.!?…。！？؟۔।॥:;,؛，、\"»”’」』)）～~]\s*$")
_ENDLESS = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_LONG_LINE = 12
_PIECES = regex.compile(r"[\n|·•›»>/]|\s[-–]\s|\s{3,}|\t")
_HARD = ".!?。！？؟۔।"
# From what ended the one before to its own end, the first letter on: each character is looked at once.
_SENTENCE = regex.compile(
    rf"(?:\A|[{_HARD}\n])[^\p{{L}}{_HARD}\n]*+\p{{L}}(?:[^{_HARD}\n]{{15,}}+[{_HARD}]|[^{_HARD}\n]{{15,}}…)"
)
_HAN_SENTENCE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]{6,}[。！？]")
_LEAST_PIECES = 5
# What parts the labels of a list, beside the lines: '|', commas, counts in brackets.
_LABELS_APART = regex.compile(r"[\n|·•›»>/,،、:;؛#()（）\[\]]|\s[-–—]\s|\s{3,}|\t|\p{Nd}+")
_HARD_END = regex.compile(r"[.!?…。！？؟۔।]\s*$")
_WORD = regex.compile(r"[\p{L}\p{M}'’-]+")
_LEAST_LABELS, _LABEL = 8, 2  # pieces; words of one
_SIZE_OF_SENTENCES = 120  # characters; text with an end mark in as many on average is no list
_LABEL_WORDS, _LABEL_CHARACTERS = 4, 30
_LABELS = 0.7  # of the pieces, before a text without a sentence may be a menu
LEAST_HITS = 3

# What the buttons of consent say, in the languages that banners are in.
_CONSENT = regex.compile(
    r"^\W*(?:accept|reject|decline|deny|allow|agree|i agree|i accept|i understand|got it|ok$|okay|continue|dismiss|close|"
    r"manage|cookie|cookies|privacy|preferences|settings|customi[sz]e|more options|learn more|read more|more info|save|"
    r"confirm|necessary|only necessary|consent|we value|your privacy|this (?:web)?site|before you|no,? thanks|"
    r"alle akzeptieren|akzeptieren|ablehnen|alle ablehnen|zustimmen|einverstanden|verstanden|nur notwendige|einstellungen|"
    r"mehr erfahren|mehr informationen|datenschutz|impressum|schließen|auswahl|speichern|tout accepter|accepter|refuser|"
    r"paramétrer|personnaliser|en savoir|continuer sans|aceptar|rechazar|configurar|más información|accett|rifiuta|"
    r"aceitar|rejeitar|recusar|accepteren|weigeren|akceptuj|odrzuć|принять|отклонить)",
    regex.IGNORECASE,
)

_COOKIES = regex.compile(r"cookie|çerez|クッキー|쿠키|คุกกี้|עוגיות|ملفات تعريف", regex.IGNORECASE)

# What sites call their parts, by language: how such an entry begins, in lower case.
NAVIGATION = {
    "en": "home|about|contact|login|log in|log out|sign in|sign up|register|search|cart|basket|checkout|privacy|"
    "terms|cookie|sitemap|site map|help|faq|menu|skip to|back to top|next|previous|share|follow us|newsletter|"
    "subscribe|my account|careers|imprint|categories|archive|gallery|products|services|news|blog|support|settings",
    "de": "startseite|home|über uns|kontakt|anmelden|login|registrieren|suche|warenkorb|datenschutz|impressum|agb|"
    "sitemap|seitenübersicht|hilfe|faq|menü|zum inhalt|nach oben|weiter|zurück|teilen|newsletter|mein konto|"
    "karriere|kategorien|archiv|galerie|produkte|leistungen|aktuelles|abmelden|blog|presse|einstellungen",
    "fr": "accueil|à propos|qui sommes|contact|connexion|se connecter|inscription|s'inscrire|recherche|panier|"
    "confidentialité|politique de|mentions légales|plan du site|aide|faq|menu|aller au|haut de page|suivant|"
    "précédent|partager|newsletter|mon compte|catégories|archives|galerie|produits|services|actualités|blog",
    "es": "inicio|quiénes somos|sobre nosotros|contacto|iniciar sesión|acceder|registr|buscar|carrito|cesta|privacidad|"
    "política de|aviso legal|mapa del sitio|mapa web|ayuda|preguntas frecuentes|menú|ir al|subir|siguiente|anterior|"
    "compartir|boletín|mi cuenta|categorías|archivo|galería|productos|servicios|noticias|blog|términos",
    "it": "home|chi siamo|contatti|contattaci|accedi|registra|iscriviti|cerca|carrello|privacy|informativa|note legali|"
    "mappa del sito|aiuto|faq|menu|vai al|torna su|avanti|indietro|condividi|newsletter|il mio account|categorie|"
    "archivio|galleria|prodotti|servizi|notizie|blog|lavora con noi|termini",
    "pt": "início|inicial|página inicial|quem somos|sobre|contato|contacto|entrar|login|cadastr|regist|buscar|pesquisa|"
    "carrinho|privacidade|política de|termos|mapa do site|ajuda|perguntas frequentes|menu|ir para|topo|próximo|"
    "anterior|compartilh|partilh|minha conta|categorias|arquivo|galeria|produtos|serviços|notícias|blog",
    "nl": "home|startpagina|over ons|contact|inloggen|aanmelden|registreren|zoeken|winkelwagen|winkelmand|privacy|"
    "algemene voorwaarden|sitemap|hulp|help|veelgestelde|menu|naar de inhoud|naar boven|volgende|vorige|delen|"
    "nieuwsbrief|mijn account|vacatures|categorieën|archief|foto|producten|diensten|nieuws|blog|uitloggen",
    "pl": "strona główna|o nas|kontakt|zaloguj|logowanie|rejestracja|zarejestruj|szukaj|koszyk|polityka prywatności|"
    "regulamin|mapa strony|pomoc|faq|menu|przejdź do|do góry|dalej|następn|poprzedni|udostępnij|newsletter|moje konto|"
    "kariera|kategorie|archiwum|galeria|produkty|usługi|aktualności|blog|oferta",
    "ru": "главная|о компании|о нас|контакт|войти|вход|регистрация|поиск|корзина|политика|условия|карта сайта|помощь|"
    "вопросы|меню|перейти|наверх|далее|назад|поделиться|подпис|личный кабинет|вакансии|категории|архив|галерея|"
    "продукция|товары|услуги|новости|блог|каталог|оплата|доставка|выйти",
    "tr": "ana sayfa|anasayfa|hakkımızda|hakkında|iletişim|giriş|üye ol|kayıt|ara$|sepet|gizlilik|kullanım|site harita|"
    "yardım|sıkça|menü|içeriğe|yukarı|sonraki|önceki|paylaş|bülten|hesabım|kariyer|kategori|arşiv|galeri|ürünler|"
    "hizmetler|haberler|blog|çıkış|kvkk",
    "vi": "trang chủ|giới thiệu|về chúng tôi|liên hệ|đăng nhập|đăng ký|tìm kiếm|giỏ hàng|chính sách|điều khoản|sơ đồ|"
    "trợ giúp|hỏi đáp|menu|chuyển đến|lên đầu|tiếp|trước|chia sẻ|bản tin|tài khoản|tuyển dụng|danh mục|lưu trữ|"
    "thư viện|sản phẩm|dịch vụ|tin tức|blog|thanh toán|đăng xuất",
    "id": "beranda|tentang kami|tentang|kontak|hubungi kami|masuk|daftar|cari|keranjang|kebijakan|syarat|peta situs|"
    "bantuan|faq|menu|lewati|ke atas|berikutnya|sebelumnya|bagikan|langganan|akun saya|karier|kategori|arsip|galeri|"
    "produk|layanan|berita|blog|keluar",
    "ar": "الرئيسية|الصفحة الرئيسية|من نحن|عن الموقع|اتصل بنا|تواصل معنا|تسجيل|دخول|إنشاء حساب|بحث|البحث|سلة|سياسة|شروط|"
    "خريطة الموقع|مساعدة|المساعدة|الأسئلة|القائمة|انتقل|أعلى|التالي|السابق|مشاركة|شارك|النشرة|حسابي|وظائف|التصنيفات|"
    "الأرشيف|معرض|المنتجات|الخدمات|خدماتنا|الأخبار|المدونة|خروج",
    "he": "דף הבית|ראשי|אודות|צור קשר|צרו קשר|התחבר|כניסה|הרשמה|חיפוש|עגלת|סל קניות|מדיניות|תנאי|תקנון|מפת האתר|עזרה|"
    "שאלות נפוצות|תפריט|דלג|לראש|הבא|הקודם|שתף|שיתוף|ניוזלטר|החשבון שלי|דרושים|קטגוריות|ארכיון|גלריה|מוצרים|שירותים|"
    "חדשות|בלוג|יציאה|נגישות",
    "zh": "首页|首頁|关于|關於|联系|聯繫|聯絡|登录|登入|登錄|注册|註冊|搜索|搜尋|购物车|購物車|隐私|隱私|条款|使用条款|网站地图|網站地圖|"
    "帮助|常见问题|菜单|返回顶部|下一页|上一页|分享|订阅|我的账户|会员|招聘|分类|归档|图片|相册|产品|產品|服务|服務|新闻|新聞|博客|版权|"
    "友情链接|下载|退出",
    "ja": "ホーム|トップ|会社概要|会社案内|当社|お問い合わせ|お問合せ|ログイン|ログアウト|会員|新規登録|検索|カート|プライバシー|個人情報|"
    "利用規約|サイトマップ|ヘルプ|よくある|メニュー|本文へ|ページの先頭|次へ|前へ|シェア|メルマガ|マイページ|採用|カテゴリ|アーカイブ|"
    "ギャラリー|製品|商品|サービス|お知らせ|ニュース|ブログ|特定商取引|アクセス",
    "ko": "홈|회사소개|회사 소개|소개|문의|고객센터|로그인|로그아웃|회원가입|검색|장바구니|개인정보|이용약관|약관|사이트맵|도움말|자주|메뉴|"
    "본문|맨 위로|다음|이전|공유|구독|마이페이지|내 정보|채용|카테고리|보관함|갤러리|제품|상품|서비스|공지|뉴스|블로그|오시는",
    "th": "หน้าแรก|หน้าหลัก|เกี่ยวกับ|ติดต่อ|เข้าสู่ระบบ|ลงชื่อ|สมัคร|ลงทะเบียน|ค้นหา|ตะกร้า|รถเข็น|นโยบาย|ข้อกำหนด|เงื่อนไข|แผนผัง|"
    "ช่วยเหลือ|คำถาม|เมนู|ข้ามไป|กลับขึ้น|ถัดไป|ก่อนหน้า|แชร์|แบ่งปัน|จดหมายข่าว|บัญชี|ร่วมงาน|หมวดหมู่|คลัง|แกลเลอ|แกลลอ|ภาพ|"
    "สินค้า|ผลิตภัณฑ์|บริการ|ข่าว|บล็อก|ออกจากระบบ",
}


def is_table(lines: Sequence[str]) -> bool:
    """Whether most lines are a name with as many numbers as in the others."""
    rows = []
    for line in lines:
        found = list(_NUMBER.finditer(line))
        named = found and _LETTER.search(line[: found[0].start()])
        rows.append(len(found) if named else 0)
    counts = Counter(count for count in rows if count)
    if not counts:
        return False
    numbers, most = counts.most_common(1)[0]
    share = _MOST_ROWS if numbers == 1 else _MOST_OF_SEVERAL
    return most >= _LEAST_ROWS and most >= share * len(lines)


def is_speech(line: str) -> bool:
    """Whether a line is what somebody says, with a dash before, and no item of a list."""
    if not _SPEECH.match(line):
        return False
    if not line.isascii() and _ENDLESS.search(line):
        return len(line) >= _LONG_LINE
    return _END.search(line, max(0, len(line.rstrip()) - 1)) is not None


def _has_sentence(text: str) -> bool:
    if _SENTENCE.search(text):
        return True
    return any(end in text for end in "。！？") and _HAN_SENTENCE.search(text) is not None


def menu_share(text: str, code: str) -> float:
    """Of a text without a sentence, the share of its pieces that sites call their parts; else 0."""
    if code not in NAVIGATION or _has_sentence(text):
        return 0.0
    pieces = [piece.strip() for piece in _PIECES.split(text) if piece.strip()]
    if len(pieces) < _LEAST_PIECES:
        return 0.0
    labels = sum(
        len(piece) <= _LABEL_CHARACTERS and len(piece.split()) <= _LABEL_WORDS for piece in pieces
    )
    hits = sum(_navigation(code).match(piece.lower()) is not None for piece in pieces)
    return hits / len(pieces) if hits >= LEAST_HITS and labels >= _LABELS * len(pieces) else 0.0


def is_consent(line: str) -> bool:
    """Whether a line begins as the buttons and headings of a banner do."""
    return _CONSENT.match(line) is not None


def asks_consent(lines: Sequence[str]) -> bool:
    """Whether lines of a page are a banner's: they speak of cookies, or two are its buttons."""
    return any(map(_COOKIES.search, lines)) or sum(map(is_consent, lines)) > 1


def is_entry(line: str, code: str) -> bool:
    """Whether a line, in lower case, begins as an entry of a menu of the 18 languages does."""
    return code in NAVIGATION and _navigation(code).match(line) is not None


def is_sentence(line: str) -> bool:
    """Whether a line ends as a sentence does, and is as long as one."""
    return len(line) >= _LONG_LINE and _HARD_END.search(line, len(line.rstrip()) - 1) is not None


def has_ends(text: str) -> bool:
    """Whether a text has as many ends of sentences as prose."""
    return sum(map(text.count, _HARD)) * _SIZE_OF_SENTENCES > len(text)


def label_share(text: str, word: int, spaces: bool, little: Container[str] = ()) -> float:
    """Of the letters of a text, those in pieces of a word or two: a list of links, of tags, of products.

    0 where there are few pieces. word: units of a word. spaces: whether spaces stand between words.
    little: words that don't count ('luna de miel').
    """
    pieces = [(piece, sum(map(str.isalpha, piece))) for piece in _LABELS_APART.split(text)]
    pieces = [(piece, letters) for piece, letters in pieces if letters]
    if len(pieces) < _LEAST_LABELS:
        return 0.0
    labels = sum(
        letters
        for piece, letters in pieces
        if (_count(piece, little) if spaces else letters) <= _LABEL * word
        and not _HARD_END.search(piece)
    )
    return labels / sum(letters for _, letters in pieces)


def _count(piece: str, little: Container[str]) -> int:
    return sum(word not in little for word in _WORD.findall(piece.lower()))


@functools.cache
def _navigation(code: str) -> regex.Pattern:
    return regex.compile(rf"(?:{NAVIGATION[code]})")


# A line that is a command, as manuals write it; their headings give orders as buttons do.
_COMMAND = regex.compile(r"^\s*`[^`\n]+`\s*$", regex.MULTILINE)


def is_manual(text: str) -> bool:
    """Whether a text has lines that are commands, as manuals write them."""
    return _COMMAND.search(text) is not None
