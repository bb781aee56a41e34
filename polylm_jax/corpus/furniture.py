"""What a site puts around its texts: menus, buttons, consent, log-ins, age gates, share links, archives, notes of rights.

A page of nothing else has no text. Each of its pieces is short and says what such pieces say, in any
of the 18 languages; a text about web sites has longer ones, and says it over and over.
"""

import functools
import re

import regex

from polylm_jax.corpus import layout, machine_text

SIZE = 1500  # characters; a longer text says more
PIECE, DENSE_PIECE = 60, 30  # characters of a piece; of one in Chinese, Japanese, Korean
_DENSE = ("zh", "ja", "ko")
LEAST_PIECES, LEAST_DIFFERENT = 4, 4
_EVERYWHERE = "©|copyright|cookie|captcha|javascript|404|facebook|google|twitter|instagram|youtube|whatsapp|linkedin|pinterest"
_PHRASES = {
    "en": "rights reserved|follow us|share on|tweet|pin it|leave a reply|leave a comment|post comment|comments|"
    "email address|required fields|notify me|save my name|newsletter|subscribe|terms of|cookies|"
    "use of cookies|are you over|18 or over|over 18|adults only|sponsored|related searches|make an offer|"
    "registered|back to top|unsubscribe|add to cart|read more|posted by|print",
    "de": "rechte vorbehalten|folgen sie uns|teilen|kommentar|e-mail-adresse|pflichtfelder|newsletter|abonnieren|"
    "nutzungsbedingungen|verwendet cookies|18 jahre|über 18|erwachsene|ihr alter|gesponsert|"
    "ähnliche suchanfragen|angebot abgeben|registriert|nach oben|impressum|agb|warenkorb|weiterlesen|"
    "einverstanden|seite verlassen",
    "fr": "droits réservés|suivez-nous|partager|commentaire|adresse e-mail|champs obligatoires|newsletter|abonn|"
    "conditions|utilise des cookies|18 ans|majeur|adultes|votre âge|sponsorisé|recherches associées|offre|"
    "enregistré|haut de page|mentions légales|panier|lire la suite|ajouter au|propriétaire|annonces|site web|"
    "cliquez ici",
    "es": "derechos reservados|síguenos|compartir|comentario|correo electrónico|campos obligatorios|boletín|suscr|"
    "condiciones|utiliza cookies|18 años|mayor de edad|adultos|su edad|patrocinad|búsquedas relacionadas|"
    "oferta|registrado|volver arriba|aviso legal|carrito|leer más|añadir al|conexión|seguridad|terceros",
    "it": "diritti riservati|seguici|condividi|commento|indirizzo email|campi obbligatori|newsletter|iscriv|"
    "condizioni|utilizza cookie|18 anni|maggiorenne|adulti|tua età|sponsorizzat|ricerche correlate|offerta|"
    "registrato|torna su|note legali|carrello|leggi tutto|aggiungi al",
    "pt": "direitos reservados|siga-nos|compartilh|partilh|comentário|endereço de e-mail|campos obrigatórios|"
    "newsletter|subscrev|condições|utiliza cookies|18 anos|maior de idade|adultos|sua idade|patrocinad|"
    "pesquisas relacionadas|oferta|registado|voltar ao topo|aviso legal|carrinho|leia mais|adicionar ao",
    "nl": "rechten voorbehouden|volg ons|delen|reactie|e-mailadres|verplichte velden|nieuwsbrief|abonneer|"
    "voorwaarden|gebruikt cookies|18 jaar|volwassenen|je leeftijd|uw leeftijd|gesponsord|"
    "gerelateerde zoekopdrachten|bod |geregistreerd|gereserveerd|naar boven|colofon|winkelwagen|lees meer|"
    "toevoegen aan|domeinna|webhosting|contact op",
    "pl": "prawa zastrzeżone|obserwuj|udostępnij|komentarz|adres e-mail|pola obowiązkowe|newsletter|subskryb|"
    "regulamin|używa plików|18 lat|pełnoletni|dorosłych|twój wiek|sponsorowan|powiązane wyszukiwania|ofert|"
    "zarejestrowan|do góry|nota prawna|koszyk|czytaj więcej|dodaj do|zapisz|niezbędne|analityczne|marketingowe",
    "ru": "права защищены|подпис|поделиться|комментари|адрес электронной|обязательные поля|рассылк|условия|"
    "файлы cookie|18 лет|совершеннолетн|взрослых|ваш возраст|реклам|похожие запросы|предложен|зарегистрирован|"
    "наверх|корзин|читать далее|добавить в",
    "tr": "hakları saklıdır|takip edin|paylaş|yorum|e-posta adresi|zorunlu alan|bülten|abone|koşulları|çerez|18 yaş|"
    "yetişkin|yaşınız|sponsorlu|ilgili aramalar|teklif|kayıtlı|yukarı|künye|sepet|devamını oku|sepete ekle|"
    "beni hatırla|devam ederek",
    "vi": "bản quyền|theo dõi|chia sẻ|bình luận|địa chỉ email|trường bắt buộc|bản tin|đăng ký nhận|điều khoản|"
    "sử dụng cookie|18 tuổi|người lớn|tuổi của bạn|tài trợ|tìm kiếm liên quan|đề nghị|đã đăng ký|lên đầu|"
    "giỏ hàng|đọc thêm|thêm vào",
    "id": "hak cipta|ikuti kami|bagikan|komentar|alamat email|wajib diisi|buletin|berlangganan|ketentuan|"
    "menggunakan cookie|18 tahun|dewasa|usia anda|sponsor|pencarian terkait|penawaran|terdaftar|ke atas|"
    "keranjang|baca selengkapnya|tambahkan ke|hubungi admin",
    "ar": "الحقوق محفوظة|تابعنا|شارك|تعليق|البريد الإلكتروني|الحقول الإلزامية|النشرة|اشترك|الشروط|ملفات الارتباط|"
    "18 سنة|البالغين|عمرك|إعلانات|عمليات بحث|عرض سعر|مسجل|إلى الأعلى|السلة|اقرأ المزيد|أضف إلى",
    "he": "זכויות שמורות|עקבו אחרינו|שתפו|תגוב|כתובת אימייל|שדות חובה|ניוזלטר|הירשמו|תנאי השימוש|עוגיות|גיל 18|"
    "מבוגרים|גילך|ממומן|חיפושים קשורים|הצעה|רשום|לראש|סל |קרא עוד|הוסף ל|גלישה|העדפות|הסכמה",
    "zh": "版权所有|版權所有|关注我们|分享|评论|邮箱地址|必填|订阅|条款|cookie|满18|成年人|您的年龄|赞助|相关搜索|报价|icp备|公网安备|返回顶部|购物车|阅读更多|加入购物车|许可证|营业执照|"
    "举报电话|技术支持|站长统计|备案",
    "ja": "無断転載|フォロー|シェア|コメント|メールアドレス|必須項目|メルマガ|購読|規約|クッキー|18歳|成人|年齢|スポンサー|関連キーワード|お見積り|登録|ページ上部|カート|続きを読む|カートに入れる|"
    "特定商取引|お問い合わせ",
    "ko": "무단|팔로우|공유|댓글|이메일 주소|필수 항목|뉴스레터|구독|약관|쿠키|19세|성인|나이|스폰서|연관 검색|견적|등록|맨 위로|장바구니|더 보기|담기|사업자등록번호|통신판매",
    "th": "สงวนลิขสิทธิ์|ติดตามเรา|แชร์|ความคิดเห็น|ที่อยู่อีเมล|จำเป็นต้องกรอก|จดหมายข่าว|สมัครรับ|ข้อกำหนด|"
    "ใช้คุกกี้|18 ปี|ผู้ใหญ่|อายุของคุณ|สปอนเซอร์|ค้นหาที่เกี่ยวข้อง|เสนอราคา|จดทะเบียน|กลับขึ้น|ตะกร้า|"
    "อ่านต่อ|หยิบใส่",
}  # fmt: skip
_PLACEHOLDER = "lorem ipsum dolor"
_APART = regex.compile(r"[\n|·•›»]|(?<=[.!?。！？؟])\s+|(?<=[。！？])|\s{3,}")
_APART_DENSE = regex.compile(r"[\s|·•›»]+|(?<=[。！？])")
# A link to what a site has of a month or of a kind: 'June 2023 (10)', 'Travel (18)'.
_COUNTED = regex.compile(
    r"\P{Nd}{1,40}(?:\p{Nd}{2,4}\P{Nd}{0,3}(?:\p{Nd}{1,2}\S?)?)?\s*[(（]\p{Nd}{1,3}[)）]"
)


def share(text: str, code: str) -> float:
    """Of a short text's letters, those in pieces that sites put around their texts; 0 for a text that may be one.

    >>> share("Log in\\nRegister\\nForgot password?\\nPrivacy policy\\nTerms of use\\nFollow us", "en")
    1.0
    """
    if code not in _PHRASES or len(text) > SIZE or layout.is_manual(text):
        return 0.0
    if _PLACEHOLDER in text.lower():
        return 1.0
    longest = DENSE_PIECE if code in _DENSE else PIECE
    pieces = letters = furniture = 0
    different: set[str] = set()
    apart = _APART_DENSE if code in _DENSE else _APART
    for piece in filter(None, map(str.strip, apart.split(text))):
        count = sum(map(str.isalpha, piece))
        letters += count
        pieces += count > 0
        if count and len(piece) <= longest:
            said = _said(piece, code)
            furniture += count if said else 0
            different |= said
    if pieces < LEAST_PIECES or len(different) < LEAST_DIFFERENT:
        return 0.0
    return furniture / letters


def _said(piece: str, code: str) -> set[str]:
    """The phrases of sites in a piece; itself where it begins as an entry or a button, or counts what it links to."""
    lowered = piece.lower()
    if layout.is_entry(lowered, code) or layout.is_consent(lowered) or _COUNTED.fullmatch(lowered):
        return {lowered}
    return set(_phrases(code).findall(lowered))


@functools.cache
def _phrases(code: str) -> re.Pattern:
    every = (
        *_EVERYWHERE.split("|"),
        *_PHRASES[code].split("|"),
        *machine_text.NOTICES[code].split("|"),
    )
    return re.compile("|".join(sorted(map(re.escape, every), key=len, reverse=True)))
